-- Who is asking, and for whom they may ask.

create or replace function recsys.caller() returns name
language sql stable set search_path = ''
as $$
    -- Inside a security definer function current_user is its owner; the role PostgREST has set still stands in the
    -- setting, and a function that runs as its owner cannot change it.
    select coalesce(nullif(current_setting('role', true), 'none'), session_user)::name
$$;
comment on function recsys.caller() is 'The role that called from outside, also inside security definer functions.';

create or replace function recsys.may_act_for_others(caller name) returns boolean
language sql stable set search_path = ''
as $$
    select
        roles.rolsuper
        or roles.rolbypassrls
        or coalesce(pg_has_role(roles.oid, to_regrole('service_role'), 'member'), false)
        or pg_has_role(roles.oid, (select nspowner from pg_namespace where nspname = 'recsys'), 'member')
    from pg_roles as roles
    where roles.rolname = caller
$$;
comment on function recsys.may_act_for_others(name) is
'True for a superuser, BYPASSRLS, a member of service_role, or the owner of schema recsys.';

create or replace function recsys.asked_user(for_user uuid) returns uuid
language plpgsql stable set search_path = ''
as $$
declare
    caller constant name := recsys.caller();
    own constant uuid := case when caller <> 'anon' then auth.uid() end;
begin
    if for_user is null or for_user = own then
        return own;
    end if;
    if recsys.may_act_for_others(caller) then
        return for_user;
    end if;
    raise exception 'role % may not ask for user %', caller, for_user using
        errcode = 'insufficient_privilege',
        hint = 'leave for_user out to ask for yourself; service_role and the database owner may ask for anybody';
end;
$$;
comment on function recsys.asked_user(uuid) is
'The user a call is about: for_user where the caller may ask for them, else their own, null for anon. Else 42501.';
