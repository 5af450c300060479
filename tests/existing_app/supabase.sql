-- What Supabase puts into a project's database before the app's first migration; run by a superuser. The project's
-- owner (there called postgres) is no superuser, and auth belongs to somebody else.

do $$
begin
    if to_regrole('anon') is null then create role anon nologin noinherit; end if;
    if to_regrole('authenticated') is null then create role authenticated nologin noinherit; end if;
    if to_regrole('service_role') is null then create role service_role nologin noinherit; end if;
    alter role service_role bypassrls;
    if to_regrole('supabase_auth_admin') is null then create role supabase_auth_admin noinherit nologin; end if;
    if to_regrole('app_owner') is null then create role app_owner login nosuperuser password 'app_owner'; end if;
end;
$$;
grant anon to app_owner;
grant authenticated to app_owner;
grant service_role to app_owner;

create schema extensions;
create extension vector with schema extensions;
grant usage on schema extensions to public;

create schema auth authorization supabase_auth_admin;
set role supabase_auth_admin;
create table auth.users (
    instance_id uuid,
    id uuid not null primary key,
    aud varchar(255),
    role varchar(255),
    email varchar(255),
    raw_user_meta_data jsonb,
    created_at timestamptz,
    updated_at timestamptz
);
alter table auth.users enable row level security;
create function auth.uid() returns uuid language sql stable as $$
    select coalesce(
        nullif(current_setting('request.jwt.claim.sub', true), ''),
        (nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'sub')
    )::uuid
$$;
create function auth.role() returns text language sql stable as $$
    select coalesce(
        nullif(current_setting('request.jwt.claim.role', true), ''),
        (nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'role')
    )::text
$$;
grant usage on schema auth to anon, authenticated, service_role, app_owner;
grant select, references on auth.users to app_owner;
create policy owner_reads on auth.users for select to app_owner using (true);
reset role;

grant usage on schema public to anon, authenticated, service_role;
alter default privileges for role app_owner in schema public grant all on tables to anon, authenticated, service_role;
alter default privileges for role app_owner in schema public
grant all on functions to anon, authenticated, service_role;
alter default privileges for role app_owner in schema public
grant all on sequences to anon, authenticated, service_role;
