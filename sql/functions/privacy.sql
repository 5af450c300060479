-- A person who wants to be forgotten.

create or replace function recsys.forget_user(app_user uuid) returns jsonb
language plpgsql set search_path = ''
as $$
declare
    user_key constant text := 'app:' || app_user;
    names text[] := array[app_user::text, 'app:' || app_user];
    numbers bigint[] := '{}';
    more bigint[];
    removed jsonb := '{}';
    place record;
    first_at timestamptz;
    n_rows bigint;
begin
    -- when they were first heard of, before it is gone
    for place in
        select *
        from (
            values
            ('public.user_video_decisions', 'created_at', 'user_id = $1'),
            ('marts.fct_interactions', 'occurred_at', 'user_key = $2')
        ) as places (relation, moment, condition)
        where to_regclass(places.relation) is not null
    loop
        execute format(
            'select least($3, min(coalesce(%I, ''-infinity''))) from %s where %s',
            place.moment, place.relation, place.condition
        )
        into first_at
        using app_user, user_key, first_at;
    end loop;

    -- under which names dbt's tables know them, before the links are gone
    if to_regclass('raw.user_links') is not null then
        select names || coalesce(array_agg(known.name), '{}')
        into names
        from raw.user_links as links
        cross join lateral (values (links.reviewer_id), ('review:' || links.reviewer_id)) as known (name)
        where links.user_id = app_user;
    end if;

    for place in
        select *
        from (
            values
            -- reviews first: raw.user_links is what says that they are this person's
            (
                'raw.reviews',
                'reviewer_id in (select links.reviewer_id from raw.user_links as links where links.user_id = $1)'
            ),
            ('raw.user_links', 'user_id = $1'),
            ('raw.decisions', 'lower(btrim(user_id)) = $1::text'),
            ('raw.rejected_lines', 'position($1::text in lower(content)) > 0'),
            ('public.likes', 'user_id = $1'),
            ('public.user_video_decisions', 'user_id = $1'),
            ('marts.fct_interactions', 'user_key = $2'),
            ('marts.fct_user_histories', 'user_key = $2'),
            ('marts.dim_users', 'user_key = $2'),
            ('marts.fct_impressions', 'user_key = $2'),
            ('recsys.user_embeddings', 'user_key = $2'),
            ('recsys.evaluation_users', 'user_key = $2'),
            ('recsys.impressions', 'user_id = $1')
        ) as places (relation, condition)
        inner join pg_class on pg_class.oid = to_regclass(places.relation)
        where pg_class.relkind in ('r', 'p')
    loop
        execute format('delete from %s where %s', place.relation, place.condition) using app_user, user_key;
        get diagnostics n_rows = row_count;
        removed := removed || jsonb_build_object(place.relation, n_rows);
    end loop;
    -- what dbt keeps between its builds: counts, which name a user by number alone ...
    if to_regclass('martello_intermediate.int_user_outcomes') is not null then
        for place in
            select *
            from (
                values
                ('martello_intermediate.int_load_users', 'user_no'),
                ('martello_intermediate.int_forgotten_users', 'user_no'),
                ('martello_intermediate.int_states', 'key')
            ) as places (relation, number)
            -- an earlier release kept them without keys; the next build makes everything anew then
            where exists (
                select from pg_attribute
                where
                    pg_attribute.attrelid = to_regclass(places.relation)
                    and pg_attribute.attname = 'user_key'
                    and not pg_attribute.attisdropped
            )
        loop
            execute format('select array_agg(%I) from %s where user_key = any ($1)', place.number, place.relation)
            into more
            using names;
            numbers := numbers || coalesce(more, '{}');
        end loop;
        execute 'delete from martello_intermediate.int_user_outcomes where user_no = any ($1)' using numbers;
        get diagnostics n_rows = row_count;
        if n_rows > 0 then
            removed := removed || jsonb_build_object('martello_intermediate.int_user_outcomes', n_rows);
        end if;
    end if;
    -- ... and every column that names one by id or by key
    for place in
        select
            format('%I.%I', pg_namespace.nspname, pg_class.relname) as relation,
            pg_attribute.attname as name
        from pg_class
        inner join pg_namespace on pg_class.relnamespace = pg_namespace.oid
        inner join pg_attribute on pg_class.oid = pg_attribute.attrelid
        where
            pg_namespace.nspname in ('martello_staging', 'martello_intermediate')
            and pg_class.relkind in ('r', 'p')
            and pg_attribute.attname in (
                'user_key', 'app_key', 'reviewer_key', 'user_id', 'app_user_id', 'reviewer_id'
            )
        order by 1, 2
    loop
        execute format('delete from %s where %I::text = any ($1)', place.relation, place.name) using names;
        get diagnostics n_rows = row_count;
        if n_rows > 0 then
            removed := removed || jsonb_build_object(
                place.relation, n_rows + coalesce((removed ->> place.relation)::bigint, 0)
            );
        end if;
    end loop;
    if exists (select from recsys.app_table_facts('user_embeddings')) then
        delete from public.user_embeddings where user_embeddings.user_id = app_user;
        get diagnostics n_rows = row_count;
        removed := removed || jsonb_build_object('public.user_embeddings', n_rows);
    end if;
    return jsonb_build_object(
        'removed', removed,
        'versions_trained_with', (
            select coalesce(jsonb_agg(registry.version order by registry.created_at), '[]')
            from recsys.embedding_model_versions as registry
            where first_at is not null and registry.created_at >= first_at
        )
    );
end;
$$;
comment on function recsys.forget_user(uuid) is
'Removes a person from decisions, files, marts, what dbt keeps between builds, vectors of every version, evaluations '
'and impressions. Returns the rows removed per table and the versions that may have been trained with them: their '
'vectors of videos still bear a trace until those versions are replaced. auth.users is the app''s.';
