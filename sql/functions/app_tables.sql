-- Where the app owns tables of vectors, the version that serves is copied into them, in the types they have; where it
-- has none, views of the same names show the active version.

create or replace function recsys.app_table_facts(name text)
returns table (embedding_type text, dimension integer, optional_columns text[], parent regclass, parent_column name)
language sql stable set search_path = ''
as $$
    select
        format_type(embedding.atttypid, embedding.atttypmod),
        nullif(embedding.atttypmod, -1),
        array(
            select other.attname::text
            from pg_attribute as other
            where
                other.attrelid = pg_class.oid
                and other.attname in ('model_version', 'updated_at')
                and not other.attisdropped
            order by other.attname
        ),
        reference.confrelid::regclass,
        parent_key.attname
    from pg_class
    inner join pg_attribute as embedding on embedding.attrelid = pg_class.oid and embedding.attname = 'embedding'
    inner join pg_attribute as own_key on own_key.attrelid = pg_class.oid and own_key.attname in ('video_id', 'user_id')
    left join pg_constraint as reference
        on
            reference.conrelid = pg_class.oid
            and reference.contype = 'f'
            and reference.conkey = array[own_key.attnum]
    left join pg_attribute as parent_key
        on parent_key.attrelid = reference.confrelid and parent_key.attnum = reference.confkey[1]
    where pg_class.oid = to_regclass('public.' || name) and pg_class.relkind in ('r', 'p')
    limit 1
$$;
comment on function recsys.app_table_facts(text) is
'What the app''s own table of vectors looks like: type, dimension (null: any), which of model_version and updated_at '
'it has, and what its key refers to. No row where the app has no such table.';

create or replace function recsys.app_dimension() returns integer
language plpgsql stable set search_path = ''
as $$
declare
    of_videos constant integer := (select facts.dimension from recsys.app_table_facts('video_embeddings') as facts);
    of_users constant integer := (select facts.dimension from recsys.app_table_facts('user_embeddings') as facts);
begin
    if of_videos <> of_users then
        raise exception 'public.video_embeddings has % dimensions and public.user_embeddings %', of_videos, of_users
        using errcode = 'data_exception', hint = 'both towers share one space: give both columns one dimension';
    end if;
    return coalesce(of_videos, of_users);
end;
$$;
comment on function recsys.app_dimension() is
'The dimension the app''s own tables of vectors ask for; null when it has none or they take any.';

create or replace function recsys.write_app_rows(name text, key text, source text, version text) returns bigint
language plpgsql set search_path = ''
as $$
declare
    facts record;
    assignments text;
    n_rows bigint;
    n_dimensions integer;
begin
    select * into facts from recsys.app_table_facts(name);
    if not found then
        return null;
    end if;
    select embedding_dim into n_dimensions from recsys.embedding_model_versions as registry
    where registry.version = write_app_rows.version;
    if facts.dimension <> n_dimensions then
        raise exception 'version % has % dimensions, public.%.embedding is %', version, n_dimensions, name,
            facts.embedding_type
        using errcode = 'data_exception', hint = format('train with --embedding-dim %s', facts.dimension);
    end if;
    select string_agg(format(', %1$I = excluded.%1$I', column_name), '')
    into assignments
    from unnest(facts.optional_columns) as column_name;

    execute format(
        $sql$
            insert into public.%1$I (%2$I, embedding%3$s)
            select source.key, source.embedding::%4$s%5$s
            from (%6$s) as source (key, embedding)
            where %7$s
            on conflict (%2$I) do update set embedding = excluded.embedding%8$s
        $sql$,
        name, key,
        (select string_agg(format(', %I', column_name), '') from unnest(facts.optional_columns) as column_name),
        facts.embedding_type,
        (
            -- in the columns' own order; now() is the same for every row of the transaction
            select string_agg(case column_name when 'model_version' then format(', %L', version) else ', now()' end, '')
            from unnest(facts.optional_columns) as column_name
        ),
        source,
        case
            when facts.parent is null then 'true'
            else format('exists (select from %s as parent where parent.%I = source.key)', facts.parent, facts.parent_column)
        end,
        assignments
    );
    get diagnostics n_rows = row_count;
    return n_rows;
end;
$$;
comment on function recsys.write_app_rows(text, text, text, text) is
'Vectors into the app''s own table, in its type, for the keys its foreign key accepts; null where it has no table.';

create or replace function recsys.fill_app_table(name text, key text, source text, version text) returns bigint
language plpgsql set search_path = ''
as $$
declare
    n_rows constant bigint := recsys.write_app_rows(name, key, source, version);
begin
    if n_rows is not null then
        -- A row of another version would hide the whole catalogue from the app's own functions.
        execute format(
            'delete from public.%1$I as present where not exists (select from (%2$s) as source (key, embedding)'
            ' where source.key = present.%3$I)',
            name, source, key
        );
    end if;
    return n_rows;
end;
$$;
comment on function recsys.fill_app_table(text, text, text, text) is
'Makes the app''s own table hold exactly these vectors: of one version, written at one time.';

create or replace function recsys.fill_app_videos(version text) returns bigint
language sql set search_path = ''
as $$
    select recsys.fill_app_table(
        'video_embeddings', 'video_id',
        format(
            'select embeddings.video_id, embeddings.embedding from %s as embeddings'
            ' where exists (select from public.videos where videos.id = embeddings.video_id)',
            recsys.partition_of('video_embeddings', version)
        ),
        version
    )
$$;
comment on function recsys.fill_app_videos(text) is 'Every video still in the catalogue, into public.video_embeddings.';

create or replace function recsys.fill_app_users(version text) returns bigint
language sql set search_path = ''
as $$
    select recsys.fill_app_table(
        'user_embeddings', 'user_id',
        format(
            'select recsys.app_user_of(embeddings.user_key), embeddings.embedding from %s as embeddings'
            ' where recsys.app_user_of(embeddings.user_key) is not null',
            recsys.partition_of('user_embeddings', version)
        ),
        version
    )
$$;
comment on function recsys.fill_app_users(text) is 'Every user of the app with a vector, into public.user_embeddings.';

create or replace function recsys.fill_app_user(app_user uuid, embedding extensions.vector, version text) returns void
language plpgsql set search_path = ''
as $$
declare
    facts record;
begin
    select * into facts from recsys.app_table_facts('user_embeddings');
    if not found then
        return;
    end if;
    if embedding is null then
        delete from public.user_embeddings where user_embeddings.user_id = app_user;
        return;
    end if;
    perform recsys.write_app_rows(
        'user_embeddings', 'user_id',
        format('values (%L::uuid, %L::extensions.vector)', app_user, embedding), version
    );
end;
$$;
comment on function recsys.fill_app_user(uuid, extensions.vector, text) is
'One user''s vector into the app''s own table; a null vector removes it.';
