-- Row level security on everything that names a user, and on every table of ours in schema public. It does not hold
-- back the owner, nor service_role where that may bypass it; tables the app brought are left as they are.

select recsys.ensure_policy(relation::regclass, 'nobody_else', 'for all to public using (false)')
from (
    values ('raw.reviews'), ('raw.decisions'), ('raw.rejected_lines'), ('raw.user_links'), ('recsys.evaluation_users')
) as named (relation);

select recsys.ensure_policy(
    'recsys.user_embeddings', 'own_vector',
    'for select to authenticated using (user_key = ''app:'' || (select auth.uid())::text)'
);

select recsys.ensure_policy(
    created_objects.relation, 'catalogue_is_public', 'for select to anon, authenticated using (true)'
)
from recsys.created_objects()
where created_objects.relation in (
    to_regclass('public.videos'), to_regclass('public.tags'), to_regclass('public.tag_groups'),
    to_regclass('public.video_tags'), to_regclass('public.performers'), to_regclass('public.video_performers')
);

select recsys.ensure_policy(
    created_objects.relation, 'own_decisions',
    'for all to authenticated using ((select auth.uid()) = user_id) with check ((select auth.uid()) = user_id)'
)
from recsys.created_objects()
where created_objects.relation = to_regclass('public.user_video_decisions');

-- Only a superuser's grandchild may give service_role the right to bypass; without it, it gets the rows by policy.
select recsys.ensure_policy(secured.relation, 'service', 'for all to service_role using (true) with check (true)')
from (
    select created_objects.relation
    from recsys.created_objects()
    inner join pg_class on pg_class.oid = created_objects.relation
    where pg_class.relkind in ('r', 'p')
    union all
    select unnest(array['recsys.user_embeddings'::regclass, 'recsys.evaluation_users'::regclass])
) as secured
where not exists (select from pg_roles where rolname = 'service_role' and rolbypassrls);
