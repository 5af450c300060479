-- What everything else stands on: pgvector, the roles and the auth schema that Supabase would have brought,
-- our schemas, and what was found before we touched anything. Only what is missing is created.

create schema if not exists recsys;

create table recsys.settings (
    key text primary key,
    value jsonb not null,
    reason text not null,
    updated_at timestamptz not null default now()
);
comment on table recsys.settings is 'One row per fact or dial the database itself has to remember.';

-- Looked at once, before our first table: on an app that has its own catalogue we never write into it unasked.
insert into recsys.settings (key, value, reason)
values
(
    'owns_catalogue',
    to_jsonb(to_regclass('public.videos') is not null),
    'public.videos was there before our first migration: the catalogue belongs to the app'
),
(
    'created_objects',
    '[]'::jsonb,
    'relations of schema public that our migrations created; only these get our policies and grants'
);

do $$
declare
    extension_schema text := case when to_regnamespace('extensions') is null then 'public' else 'extensions' end;
begin
    if not exists (select 1 from pg_catalog.pg_extension where extname = 'vector') then
        execute format('create extension vector with schema %I', extension_schema);
    end if;
exception
    when insufficient_privilege then
        raise exception 'extension vector is not there and % may not create it', current_user
            using hint = 'let a superuser run "create extension vector" in this database, then migrate again';
    when undefined_file or feature_not_supported then
        raise exception 'this server has no pgvector'
            using hint = 'install pgvector 0.8 or newer on the server, then migrate again';
end;
$$;

do $$
declare
    role_name text;
begin
    foreach role_name in array array['anon', 'authenticated', 'service_role'] loop
        continue when exists (select 1 from pg_catalog.pg_roles where rolname = role_name);
        begin
            execute format('create role %I nologin noinherit', role_name);
        exception
            when insufficient_privilege then
                raise warning 'role % is missing and % may not create it', role_name, current_user
                    using hint = 'the app''s functions stay closed to it until an administrator creates it and '
                        'you migrate again';
            when duplicate_object then null;  -- roles belong to the whole server: another database made it just now
        end;
    end loop;
end;
$$;

-- On Supabase service_role passes by row level security; only a role that may do so itself can give that away.
do $$
begin
    if exists (select 1 from pg_catalog.pg_roles where rolname = 'service_role' and not rolbypassrls) then
        alter role service_role bypassrls;
    end if;
exception
    when insufficient_privilege then null;  -- the policies for service_role in sql/access do the same on our tables
end;
$$;

do $$
begin
    if to_regnamespace('auth') is null then
        create schema auth;
        comment on schema auth is 'Stand-in for Supabase''s: users, and who is asking.';
        create table auth.users (
            id uuid primary key default gen_random_uuid(),
            email text,
            created_at timestamptz not null default now()
        );
        alter table auth.users enable row level security;
    end if;
    if to_regprocedure('auth.uid()') is null and has_schema_privilege('auth', 'create') then
        create function auth.uid() returns uuid
        language sql stable set search_path = ''
        as $uid$
            select coalesce(
                nullif(current_setting('request.jwt.claim.sub', true), ''),
                nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'sub'
            )::uuid
        $uid$;
    end if;
    if to_regprocedure('auth.role()') is null and has_schema_privilege('auth', 'create') then
        create function auth.role() returns text
        language sql stable set search_path = ''
        as $role$
            select coalesce(
                nullif(current_setting('request.jwt.claim.role', true), ''),
                nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'role'
            )
        $role$;
    end if;
end;
$$;
