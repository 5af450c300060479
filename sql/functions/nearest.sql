-- The videos nearest to a vector in one version, after all filters: through the HNSW index where there is one,
-- exactly where the index came up short.

create or replace function recsys.tag_ids(names text[]) returns uuid[]
language plpgsql stable set search_path = ''
as $$
declare
    wanted constant text[] := array(select distinct name from unnest(names) as name where name is not null);
    found uuid[];
begin
    if cardinality(wanted) = 0 then
        return null;
    end if;
    if to_regclass('public.tags') is not null then
        found := array(select tags.id from public.tags where tags.name = any(wanted));
    end if;
    -- a name nobody knows stands for a tag no video has
    return found || array_fill(
        '00000000-0000-0000-0000-000000000000'::uuid, array[cardinality(wanted) - coalesce(cardinality(found), 0)]
    );
end;
$$;
comment on function recsys.tag_ids(text[]) is
'The ids of tags by name, the zero uuid for each unknown one; null when no name is given.';

create or replace function recsys.videos_with_tags(with_tag_ids uuid[], at_most integer) returns uuid[]
language sql stable set search_path = ''
as $$
    select array_agg(few.video_id)
    from (
        select video_tags.video_id
        from public.video_tags
        where video_tags.tag_id = any(with_tag_ids)
        group by video_tags.video_id
        having count(*) = cardinality(with_tag_ids)
        limit at_most
    ) as few
$$;
comment on function recsys.videos_with_tags(uuid[], integer) is 'Videos that carry every one of these tags.';

create or replace function recsys.has_hnsw(relation text) returns boolean
language sql stable set search_path = ''
as $$
    select exists (
        select from pg_index
        inner join pg_class on pg_class.oid = pg_index.indexrelid
        inner join pg_am on pg_am.oid = pg_class.relam
        where pg_index.indrelid = to_regclass(relation) and pg_am.amname = 'hnsw'
    )
$$;
comment on function recsys.has_hnsw(text) is 'Whether a version''s partition has an approximate index.';

create or replace function recsys.nearest(
    version text,
    query_embedding extensions.vector,
    match_count integer,
    banned_ids uuid[] default '{}',
    with_tag_ids uuid[] default null,
    without_tag_ids uuid[] default null,
    max_per_maker integer default null,
    is_exact boolean default false
) returns table (video_id uuid, similarity real, maker text)
language plpgsql stable set search_path = ''
as $$
#variable_conflict use_column
declare
    -- Up to this many eligible videos are compared one by one: exact, and about as quick as an index scan that
    -- throws most of what it finds away.
    few constant integer := 5000;
    -- With a limit per maker the nearest are thinned out; five times as many usually leave enough.
    pool bigint := case
        when max_per_maker is null then match_count else greatest(5 * match_count::bigint, 100)
    end;
    partition constant text := recsys.partition_of('video_embeddings', version);
    by_index text;
    exactly constant text := 'embeddings.embedding operator(extensions.<=>) $1, embeddings.video_id';
    filter text := 'embeddings.video_id <> all($2)';
    only_ids uuid[];
    is_approximate boolean;
    ids uuid[];
    similarities real[];
    makers text[];
begin
    select format(
        'embeddings.embedding::extensions.vector(%s) operator(extensions.<=>) $1', registry.embedding_dim
    )
    into by_index
    from recsys.embedding_model_versions as registry
    where registry.version = nearest.version;
    if by_index is null or match_count < 1 then
        return;
    end if;

    is_approximate := not is_exact and recsys.has_hnsw(partition);
    if with_tag_ids is not null then
        only_ids := recsys.videos_with_tags(with_tag_ids, few + 1);
        if only_ids is null then
            return;
        end if;
        if cardinality(only_ids) <= few then
            is_approximate := false;
            filter := filter || ' and embeddings.video_id = any($3)';
        else
            filter := filter || ' and (select count(*) from public.video_tags where video_tags.video_id'
                ' = embeddings.video_id and video_tags.tag_id = any($4)) = cardinality($4)';
        end if;
    end if;
    if without_tag_ids is not null then
        -- offset 0 keeps this a check of each candidate: as a join it would have to be computed for all first
        filter := filter || ' and not exists (select from public.video_tags where video_tags.video_id'
            ' = embeddings.video_id and video_tags.tag_id = any($5) offset 0)';
    end if;

    if is_approximate then
        -- go on while filters leave the list short, up to hnsw.max_scan_tuples (20,000)
        perform set_config('hnsw.iterative_scan', 'relaxed_order', true);
        -- Of the true twenty, 40 (the default) / 100 / 200 found .986 / .996 / .998 on a model of real ratings; the
        -- time grows as fast as the number.
        perform set_config('hnsw.ef_search', least(1000, greatest(100, 2 * pool))::text, true);
    end if;
    execute recsys.nearest_query(partition, case when is_approximate then by_index else exactly end, filter)
    into ids, similarities, makers
    using query_embedding, banned_ids, only_ids, with_tag_ids, without_tag_ids, pool, max_per_maker, match_count;

    -- Short: the scan hit its bound, the makers were too few, or videos were deleted since. Everything, exactly.
    if coalesce(cardinality(ids), 0) < match_count then
        filter := filter || ' and exists (select from public.videos where videos.id = embeddings.video_id)';
        pool := case when max_per_maker is null then match_count end;
        execute recsys.nearest_query(partition, exactly, filter)
        into ids, similarities, makers
        using
            query_embedding, banned_ids, only_ids, with_tag_ids, without_tag_ids, pool, max_per_maker, match_count;
    end if;
    return query
    select found.id, found.similarity, found.maker
    from unnest(ids, similarities, makers) as found (id, similarity, maker);
end;
$$;
comment on function recsys.nearest(
    text, extensions.vector, integer, uuid[], uuid[], uuid[], integer, boolean
) is
'The match_count videos of a version most similar to a vector, nearest first, ties by id: with every one of the tags '
'asked for, none of the others, at most so many per maker, none of the banned, none that is deleted.';

create or replace function recsys.nearest_query(partition text, ordering text, filter text) returns text
language sql immutable set search_path = ''
as $$
    select format(
        $sql$
            with nearby as materialized (
                select
                    embeddings.video_id,
                    embeddings.embedding operator(extensions.<=>) $1 as distance
                from %1$s as embeddings
                where %3$s
                order by %2$s
                limit $6
            ),

            numbered as (
                select
                    nearby.video_id,
                    nearby.distance,
                    videos.maker,
                    row_number() over (
                        partition by coalesce(videos.maker, nearby.video_id::text)
                        order by nearby.distance, nearby.video_id
                    ) as place_at_maker
                from nearby
                inner join public.videos on videos.id = nearby.video_id
            ),

            listed as (
                select numbered.*
                from numbered
                where $7 is null or numbered.place_at_maker <= $7
                order by numbered.distance, numbered.video_id
                limit $8
            )

            select
                array_agg(listed.video_id order by listed.distance, listed.video_id),
                array_agg((1 - listed.distance)::real order by listed.distance, listed.video_id),
                array_agg(listed.maker order by listed.distance, listed.video_id)
            from listed
        $sql$,
        partition, ordering, filter
    )
$$;
comment on function recsys.nearest_query(text, text, text) is
'The text recsys.nearest runs: text, because partition, dimension and the index''s own expression are part of it.';
