-- Who may call what. A new function is open to everybody until it is revoked; these are named with their arguments,
-- so that a function of the app's own that shares a name is not touched.

do $$
declare
    called record;
    signature regprocedure;
begin
    for called in
        select *
        from (
            values
            ('public.recommend_videos(integer, uuid, uuid[], text[], text[], integer, real, date, date)', true),
            ('public.similar_videos(uuid, integer)', true),
            ('public.match_videos(extensions.vector, integer, real)', true),
            ('public.popular_videos(integer, integer)', true),
            ('public.explain_recommendation(uuid, uuid)', false),
            ('public.refresh_user_embedding(uuid)', false),
            ('public.user_tower_inputs(uuid)', false),
            ('public.store_user_embedding(extensions.vector, text, text, uuid)', false),
            ('public.log_impressions(jsonb, text, uuid, real)', false)
        ) as functions (arguments, is_for_anon)
    loop
        signature := to_regprocedure(called.arguments);
        continue when signature is null;
        execute format('revoke all on function %s from public, anon, authenticated', signature);
        execute format('grant execute on function %s to authenticated, service_role', signature);
        if called.is_for_anon then
            execute format('grant execute on function %s to anon', signature);
        end if;
    end loop;
end;
$$;
