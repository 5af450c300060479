-- public.video_embeddings and public.user_embeddings where the app has none: views on the active version.
--
-- They look the active version up themselves, so a promotion is one row changing in
-- recsys.embedding_model_versions: every statement sees the old version or the new one. Only another dimension
-- needs other views (a view's column type is fixed); a trigger makes them in the promotion's own transaction.

create or replace function recsys.ensure_app_views() returns void
language plpgsql security definer set search_path = ''
as $$
declare
    dimension integer := coalesce(
        (
            select embedding_model_versions.embedding_dim
            from recsys.embedding_model_versions
            where embedding_model_versions.is_active
        ),
        256
    );
    wanted record;
    existing regclass;
    role_name text;
begin
    for wanted in
        select *
        from (
            values
            (
                'public.video_embeddings',
                'select e.video_id, e.embedding::extensions.vector(%s) as embedding, e.model_version,'
                ' v.promoted_at as updated_at'
                ' from recsys.video_embeddings as e'
                ' cross join (select max(coalesce(promoted_at, created_at)) as promoted_at'
                ' from recsys.embedding_model_versions where is_active) as v'
                ' where e.model_version = (select version from recsys.embedding_model_versions where is_active)',
                array['anon', 'authenticated', 'service_role']
            ),
            (
                'public.user_embeddings',
                'select substr(e.user_key, 5)::uuid as user_id, e.embedding::extensions.vector(%s) as embedding,'
                ' e.model_version, e.updated_at'
                ' from recsys.user_embeddings as e'
                ' where e.model_version = (select version from recsys.embedding_model_versions where is_active)'
                ' and e.user_key like ''app:%%''',
                array['authenticated', 'service_role']
            )
        ) as views (relation, definition, readers)
    loop
        existing := pg_catalog.to_regclass(wanted.relation);
        continue when existing is not null and existing not in (select created_objects.relation from recsys.created_objects());
        continue when exists (
            select from pg_catalog.pg_attribute
            where pg_attribute.attrelid = existing
                and pg_attribute.attname = 'embedding'
                and pg_attribute.atttypmod = dimension
                and pg_catalog.obj_description(existing, 'pg_class') = wanted.definition
        );
        execute pg_catalog.format('drop view if exists %s', wanted.relation);
        execute pg_catalog.format(
            'create view %s with (security_invoker = true) as %s',
            wanted.relation, pg_catalog.format(wanted.definition, dimension)
        );
        execute pg_catalog.format('comment on view %s is %L', wanted.relation, wanted.definition);
        execute pg_catalog.format('revoke all on %s from public', wanted.relation);
        for role_name in
            select pg_roles.rolname from pg_catalog.pg_roles where pg_roles.rolname = any(wanted.readers)
        loop
            execute pg_catalog.format('grant select on %s to %I', wanted.relation, role_name);
        end loop;
        if existing is null then
            update recsys.settings
            set value = settings.value || pg_catalog.to_jsonb(wanted.relation), updated_at = pg_catalog.now()
            where settings.key = 'created_objects' and not settings.value ? wanted.relation;
        end if;
    end loop;
end;
$$;
comment on function recsys.ensure_app_views() is
'The two views of the active version, in its dimension, where the app has no tables of these names.';

create or replace function recsys.follow_active_dimension() returns trigger
language plpgsql security definer set search_path = ''
as $$
begin
    perform recsys.ensure_app_views();
    return null;
end;
$$;
comment on function recsys.follow_active_dimension() is
'Gives the app''s views the dimension of the version that has just become active.';

create or replace trigger follow_active_dimension
after insert or update of is_active, embedding_dim on recsys.embedding_model_versions
for each row when (new.is_active)
execute function recsys.follow_active_dimension();

select recsys.ensure_app_views();
