-- What sql/access says again at every run without taking a lock when nothing changed.

create or replace function recsys.ensure_policy(relation regclass, policy text, definition text) returns void
language plpgsql set search_path = ''
as $$
declare
    said text;
begin
    if not (select pg_class.relrowsecurity from pg_catalog.pg_class where pg_class.oid = relation) then
        execute pg_catalog.format('alter table %s enable row level security', relation);
    end if;
    select pg_catalog.obj_description(pg_policy.oid, 'pg_policy') into said
    from pg_catalog.pg_policy
    where pg_policy.polrelid = relation and pg_policy.polname = policy;
    if said = definition then
        return;
    end if;
    execute pg_catalog.format('drop policy if exists %I on %s', policy, relation);
    execute pg_catalog.format('create policy %I on %s %s', policy, relation, definition);
    execute pg_catalog.format('comment on policy %I on %s is %L', policy, relation, definition);
end;
$$;
comment on function recsys.ensure_policy(regclass, text, text) is
'Row level security on, and this policy with this definition, which it keeps as its comment to know itself again.';

create or replace function recsys.created_objects() returns table (relation regclass)
language sql stable set search_path = ''
as $$
    select pg_catalog.to_regclass(listed.relation)
    from recsys.settings
    cross join lateral pg_catalog.jsonb_array_elements_text(settings.value) as listed (relation)
    where settings.key = 'created_objects' and pg_catalog.to_regclass(listed.relation) is not null
$$;
comment on function recsys.created_objects() is
'The relations of schema public that our migrations created: policies and grants of ours are for these alone.';

create or replace function recsys.created_tables() returns table (relation regclass)
language sql stable set search_path = ''
as $$
    select created.relation
    from recsys.created_objects() as created
    inner join pg_catalog.pg_class on pg_class.oid = created.relation and pg_class.relkind in ('r', 'p')
$$;
comment on function recsys.created_tables() is 'Those of recsys.created_objects that are tables.';

create or replace function recsys.let_read(relation regclass, program text) returns void
language plpgsql set search_path = ''
as $$
declare
    reader constant text := 'martello_' || program;
begin
    execute pg_catalog.format('grant select on %s to %I', relation, reader);
    perform recsys.ensure_policy(
        relation, program || '_reads', pg_catalog.format('for select to %I using (true)', reader)
    );
end;
$$;
comment on function recsys.let_read(regclass, text) is
'The whole of a table, every row of it, for the role of a program: dbt or trainer.';

create or replace function recsys.tables_naming_users() returns table (relation regclass)
language sql stable set search_path = ''
as $$
    select pg_class.oid::regclass
    from pg_catalog.pg_class
    inner join pg_catalog.pg_namespace on pg_class.relnamespace = pg_namespace.oid
    where pg_namespace.nspname in ('raw', 'recsys')
        and pg_class.relkind in ('r', 'p')
        and not pg_class.relispartition
        and exists (
            select from pg_catalog.pg_attribute
            where pg_attribute.attrelid = pg_class.oid
                and pg_attribute.attname in ('reviewer_id', 'user_id', 'user_key', 'content')
                and not pg_attribute.attisdropped
        )
$$;
comment on function recsys.tables_naming_users() is
'Tables of raw and recsys in which a row can be traced to a person (a rejected line''s content may name one).';
