-- Roles for the two programs, each with what its work needs and nothing else, where whoever migrates may create roles.
-- They cannot log in before somebody says so: alter role martello_trainer login password '...'. The app's own roles
-- are in the other files of this folder; a table the app brought is for its owner to grant.

do $$
declare
    role_name text;
begin
    foreach role_name in array array['martello_dbt', 'martello_trainer'] loop
        continue when to_regrole(role_name) is not null;
        begin
            execute format('create role %I nologin', role_name);
        exception
            when insufficient_privilege or duplicate_object then null;
        end;
    end loop;
end;
$$;

-- dbt: reads raw and the app's tables, makes schemas of its own, and looks at the registry for monitoring.
do $$
begin
    if to_regrole('martello_dbt') is null then
        return;
    end if;
    if pg_has_role((select datdba from pg_database where datname = current_database()), 'usage') then
        execute format('grant create on database %I to martello_dbt', current_database());
    end if;
    grant usage on schema raw, recsys to martello_dbt;
    grant select on all tables in schema raw to martello_dbt;
    grant select on recsys.embedding_model_versions, recsys.evaluations, recsys.release_log, recsys.impressions,
        recsys.experiments, recsys.experiment_arms to martello_dbt;
    -- who and what has a vector, not the vectors
    grant select (model_version, video_id) on recsys.video_embeddings to martello_dbt;
    grant select (model_version, user_key) on recsys.user_embeddings to martello_dbt;
    perform recsys.let_read(named.relation, 'dbt')
    from recsys.tables_naming_users() as named
    where named.relation::text like 'raw.%' or named.relation = 'recsys.impressions'::regclass;
    perform recsys.let_read(created.relation, 'dbt') from recsys.created_tables() as created;
    perform recsys.ensure_policy(
        'recsys.user_embeddings', 'dbt_reads', 'for select to martello_dbt using (true)'
    );
end;
$$;

-- The trainer: reads the marts, writes the registry, and counts what the app's users decide.
do $$
begin
    if to_regrole('martello_trainer') is null then
        return;
    end if;
    grant usage on schema recsys to martello_trainer;
    grant select, insert, update, delete on all tables in schema recsys to martello_trainer;
    grant execute on all functions in schema recsys to martello_trainer;
    perform recsys.ensure_policy(
        named.relation, 'trainer_works', 'for all to martello_trainer using (true) with check (true)'
    )
    from recsys.tables_naming_users() as named
    where named.relation::text like 'recsys.%';
    perform recsys.let_read(created.relation, 'trainer') from recsys.created_tables() as created;
    -- what dbt has built, and what it will build as this role
    if exists (select from pg_namespace where nspname = 'marts' and pg_has_role(nspowner, 'usage')) then
        grant usage on schema marts to martello_trainer;
        grant select on all tables in schema marts to martello_trainer;
    end if;
    if to_regrole('martello_dbt') is not null and pg_has_role('martello_dbt', 'usage') then
        alter default privileges for role martello_dbt grant usage on schemas to martello_trainer;
        alter default privileges for role martello_dbt grant select on tables to martello_trainer;
    end if;
end;
$$;
