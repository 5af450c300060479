-- Explicit grants on the tables we created: newer Supabase projects give new tables none, older ones too many.

do $$
declare
    created regclass;
begin
    for created in
        select created_tables.relation from recsys.created_tables()
    loop
        execute format('revoke all on table %s from public, anon, authenticated', created);
        execute format('grant select, insert, update, delete on table %s to service_role', created);
        if created = to_regclass('public.user_video_decisions') then
            execute format('grant select, insert, update, delete on table %s to authenticated', created);
        else
            execute format('grant select on table %s to anon, authenticated', created);
        end if;
    end loop;
end;
$$;

-- Where schema auth is our stand-in (and not Supabase's), everybody may ask who they are.
do $$
begin
    if exists (
        select from pg_namespace where nspname = 'auth' and pg_has_role(nspowner, 'usage')
    ) then
        grant usage on schema auth to anon, authenticated, service_role;
    end if;
end;
$$;
