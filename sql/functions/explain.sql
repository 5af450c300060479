create or replace function public.explain_recommendation(video uuid, for_user uuid default null)
returns table (reason text, related_video uuid, contribution real)
language sql stable security definer set search_path = ''
as $$
    select null::text, null::uuid, null::real where false
$$;
