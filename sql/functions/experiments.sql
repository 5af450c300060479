create or replace function recsys.experiment_version(user_key text) returns text
language sql stable set search_path = ''
as $$
    select null::text
$$;
