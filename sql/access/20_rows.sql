-- Row level security on everything that names a user, and on every table of ours in schema public. It does not hold
-- back the owner, nor service_role where that may bypass it; tables the app brought are left as they are.

select recsys.ensure_policy(named.relation, 'nobody_else', 'for all to public using (false)')
from recsys.tables_naming_users() as named
where named.relation not in ('recsys.user_embeddings'::regclass, 'recsys.impressions'::regclass);

-- Two permissive policies are both asked for every row. Earlier releases put this one on these two as well.
do $$
declare
    superfluous record;
begin
    for superfluous in
        select pg_policy.polrelid::regclass as relation
        from pg_policy
        where
            pg_policy.polname = 'nobody_else'
            and pg_policy.polrelid in ('recsys.user_embeddings'::regclass, 'recsys.impressions'::regclass)
    loop
        execute format('drop policy nobody_else on %s', superfluous.relation);
    end loop;
end;
$$;

select recsys.ensure_policy(
    'recsys.user_embeddings', 'own_vector',
    'for select to authenticated using (user_key = ''app:'' || (select auth.uid())::text)'
);

select recsys.ensure_policy(
    'recsys.impressions', 'own_impressions', 'for select to authenticated using (user_id = (select auth.uid()))'
);

select recsys.ensure_policy(created.relation, 'catalogue_is_public', 'for select to anon, authenticated using (true)')
from recsys.created_objects() as created
where
    created.relation in (
        to_regclass('public.videos'), to_regclass('public.tags'), to_regclass('public.tag_groups'),
        to_regclass('public.video_tags'), to_regclass('public.performers'), to_regclass('public.video_performers')
    );

select
    recsys.ensure_policy(
        created.relation, 'own_decisions',
        'for all to authenticated using ((select auth.uid()) = user_id) with check ((select auth.uid()) = user_id)'
    )
from recsys.created_objects() as created
where created.relation = to_regclass('public.user_video_decisions');

-- Where nobody could give service_role the right to bypass, it gets the rows by policy.
select recsys.ensure_policy(secured.relation, 'service', 'for all to service_role using (true) with check (true)')
from (
    select created.relation from recsys.created_tables() as created
    union all
    select named.relation from recsys.tables_naming_users() as named
) as secured
where not exists (
    select 1 from pg_roles
    where pg_roles.rolname = 'service_role' and pg_roles.rolbypassrls
);
