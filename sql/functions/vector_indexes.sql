-- The approximate indexes of a version's videos: which are built, and which of them a query goes through.
--
-- A user's vector lies in the ranking coordinates (the first n_ranked), where a video is the longer the more people
-- like it; the other coordinates say what a video is like, and fill it up to length one. A list is therefore the
-- largest inner products in the ranking coordinates, and a graph of exactly those finds them. A graph of cosines
-- over everything links a video to what it is like: of the twenty of a list it found .75 to .85. What is like
-- another video, on the other hand, is a question to that graph.
--
-- The more uneven the lengths, the worse a graph does and the fewer long videos hold all that is listed (Teflioudi,
-- Gemulla, Mykytiuk 2015, LEMP). So a list reads the longest one by one as well, in their order from a btree.

create or replace function recsys.index_above() returns integer
language sql stable set search_path = ''
as $$
    select coalesce(
        (select (settings.value #>> '{}')::integer from recsys.settings where settings.key = 'index_above'), 10000
    )
$$;
comment on function recsys.index_above() is
'The number of videos above which a version is indexed; fewer are read whole, exactly and as quickly.';

create or replace function recsys.index_videos(version text) returns void
language plpgsql security definer set search_path = ''
as $$
declare
    videos constant text := recsys.partition_of('video_embeddings', version);
    widest constant integer := 4000;  -- dimensions of two bytes each pgvector can index
    dimension integer;
    n_ranked integer;
begin
    select registry.embedding_dim, coalesce((registry.config ->> 'n_ranked')::integer, 0)
    into dimension, n_ranked
    from recsys.embedding_model_versions as registry
    where registry.version = index_videos.version;
    -- Two bytes per number in the index, four in the rows the scores come from: 40 % less to read, the same found.
    if n_ranked > 0 and n_ranked < dimension and n_ranked <= widest then
        execute format(
            'create index on %1$s using hnsw ('
            '(extensions.subvector(embedding, 1, %2$s)::extensions.halfvec(%2$s)) extensions.halfvec_ip_ops)'
            -- Inner products are no distances, and their graph leaves more out: 128 found .970 of the twenty where
            -- this found .985 (50,000 videos made of a real model's), in the same time
            ' with (ef_construction = 256)',
            videos, n_ranked
        );
        execute format('create index on %s (%s desc)', videos, recsys.length_of('embedding', n_ranked));
    end if;
    if dimension <= widest then
        execute format(
            'create index on %s using hnsw ((embedding::extensions.halfvec(%s)) extensions.halfvec_cosine_ops)'
            -- 128 found .98 of the true twenty where pgvector's 64 found .91 (tight clusters, full precision), for a
            -- quarter more time to build, at no cost to readers
            ' with (ef_construction = 128)',
            videos, dimension
        );
    end if;
end;
$$;
comment on function recsys.index_videos(text) is
'Builds the HNSW indexes of a version''s videos: inner products of the ranking coordinates, where the version says '
'which those are (config, n_ranked), and cosines of all coordinates.';

create or replace function recsys.length_of(embedding text, n_ranked integer) returns text
language sql immutable set search_path = ''
as $$
    select format('extensions.vector_norm(extensions.subvector(%s, 1, %s))', embedding, n_ranked)
$$;
comment on function recsys.length_of(text, integer) is
'The expression of a video''s length in the ranking coordinates: in the index and in the queries that use it.';

drop function if exists recsys.approximate_order(text, extensions.vector);

create or replace function recsys.approximate_order(
    videos text, query_embedding extensions.vector, out nearest_first text, out longest_first text
) returns record
language sql stable set search_path = ''
as $$
    select
        case when indexed.is_ranked then format(
            'extensions.subvector(embeddings.embedding, 1, %1$s)::extensions.halfvec(%1$s)'
            ' operator(extensions.<#>) extensions.subvector($1, 1, %1$s)::extensions.halfvec(%1$s)',
            indexed.dimension
        )
        else format('embeddings.embedding::%1$s operator(extensions.<=>) $1::%1$s', indexed.type_name)
        end,
        -- Of 50,000 videos like the sample's 500 hold .980 of the true twenty, 1000 hold .9998; of 200,000 such, every
        -- long video sixteen times among them, 1000 / 2000 / 4000 hold .923 / .982 / 1.000, at .4 ms a thousand.
        case when indexed.is_ranked then format(
            '%s desc limit %s', recsys.length_of('embeddings.embedding', indexed.dimension),
            greatest(1000, indexed.n_videos / 100)
        ) end
    from (
        select
            pg_index.indexrelid,
            pg_opclass.opcname like '%\_ip\_ops' as is_ranked,
            pg_attribute.atttypmod as dimension,
            format_type(pg_attribute.atttypid, pg_attribute.atttypmod) as type_name,
            partition.reltuples::bigint as n_videos
        from pg_index
        inner join pg_class as partition on partition.oid = pg_index.indrelid
        inner join pg_class on pg_class.oid = pg_index.indexrelid
        inner join pg_am on pg_am.oid = pg_class.relam
        inner join pg_opclass on pg_opclass.oid = pg_index.indclass[0]
        inner join pg_attribute on pg_attribute.attrelid = pg_index.indexrelid and pg_attribute.attnum = 1
        where pg_index.indrelid = to_regclass(videos) and pg_am.amname = 'hnsw' and pg_index.indisvalid
    ) as indexed
    where
        not indexed.is_ranked
        -- of its square length a video keeps at least a tenth for what it is like (LONGEST_SCORE in towers.py), a
        -- user .03 at most (measured after two epochs at ten times the usual learning rate)
        or extensions.vector_norm(extensions.subvector(query_embedding, 1, indexed.dimension)) ^ 2
        >= 0.92 * extensions.vector_norm(query_embedding) ^ 2
    order by indexed.is_ranked desc, indexed.indexrelid
    limit 1
$$;
comment on function recsys.approximate_order(text, extensions.vector) is
'The order in which an index of a version''s partition finds what is nearest to a vector: the index of the ranking '
'coordinates for a vector that lies in them, with the order of the longest and how many of them are read, else that of '
'all; nulls without an approximate index.';
