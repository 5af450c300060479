-- Stored user vectors brought up to date: one user's on demand, all changed ones in one statement.

create or replace function recsys.refresh_user(user_key text, version text) returns extensions.vector
language plpgsql set search_path = ''
as $$
#variable_conflict use_column
declare
    met_ids uuid[];
    labels smallint[];
    occurred_ats timestamptz[];
    vector extensions.vector;
begin
    select array_agg(met.video_id), array_agg(met.label), array_agg(met.occurred_at)
    into met_ids, labels, occurred_ats
    from recsys.user_videos(refresh_user.user_key) as met;
    vector := recsys.tower_output(version, recsys.tower_input(version, met_ids, labels, occurred_ats));
    if vector is null then
        delete from recsys.user_embeddings as embeddings
        where embeddings.model_version = version and embeddings.user_key = refresh_user.user_key;
    else
        insert into recsys.user_embeddings as embeddings (model_version, user_key, embedding, history_hash, updated_at)
        values (version, refresh_user.user_key, vector, recsys.history_hash(met_ids, labels, occurred_ats), now())
        on conflict (model_version, user_key) do update
        set embedding = excluded.embedding, history_hash = excluded.history_hash, updated_at = excluded.updated_at;
    end if;
    return vector;
end;
$$;
comment on function recsys.refresh_user(text, text) is
'Computes and stores one user''s vector in one version; removes it, and returns null, when no like is left.';

create or replace function recsys.changed_users(version text) returns table (user_key text)
language sql stable set search_path = ''
as $$
    select coalesce(histories.user_key, embeddings.user_key)
    from recsys.histories(true) as histories
    full join (
        select stored.user_key, stored.history_hash
        from recsys.user_embeddings as stored
        where stored.model_version = version
    ) as embeddings on embeddings.user_key = histories.user_key
    where
        histories.history_hash is distinct from embeddings.history_hash
        -- of reviewers only the stored ones are kept up
        and (embeddings.user_key is not null or (histories.has_like and histories.user_key like 'app:%'))
$$;
comment on function recsys.changed_users(text) is
'Users whose history is no longer the one their stored vector was computed from, and users of the app without one.';

create or replace function recsys.refresh_changed_users(version text default null) returns bigint
language sql security definer set search_path = ''
as $$
    select count(recsys.refresh_user(changed.user_key, wanted.version))
    from (select coalesce(refresh_changed_users.version, recsys.active_version()) as version) as wanted
    cross join lateral recsys.changed_users(wanted.version) as changed
$$;
comment on function recsys.refresh_changed_users(text) is
'Brings the stored vectors of all changed users up to date in one statement; returns how many were computed.';

create or replace function public.refresh_user_embedding(for_user uuid default null) returns extensions.vector
language plpgsql security definer set search_path = ''
as $$
declare
    asked constant uuid := recsys.asked_user(for_user);
    serving constant text := recsys.active_version();
    vector extensions.vector;
begin
    if asked is null or serving is null then
        return null;
    end if;
    vector := recsys.refresh_user('app:' || asked, serving);
    perform recsys.fill_app_user(asked, vector, serving);
    return vector;
end;
$$;
comment on function public.refresh_user_embedding(uuid) is
'Computes the vector of the user who asks from their likes as they are now, stores it and returns it; null without a '
'like. for_user is for service_role and database owners.';

create or replace function recsys.refresh_decided_user() returns trigger
language plpgsql security definer set search_path = ''
as $$
declare
    serving constant text := recsys.active_version();
    decided uuid;
begin
    if serving is not null then
        foreach decided in array array_remove(array[
            case when tg_op <> 'DELETE' then new.user_id end,
            case when tg_op = 'DELETE' or old.user_id is distinct from new.user_id then old.user_id end
        ], null) loop
            perform recsys.fill_app_user(decided, recsys.refresh_user('app:' || decided, serving), serving);
        end loop;
    end if;
    return null;
end;
$$;
comment on function recsys.refresh_decided_user() is 'Trigger: the stored vector follows every decision.';

create or replace function recsys.follow_decisions(is_wanted boolean default true) returns void
language plpgsql set search_path = ''
as $$
begin
    drop trigger if exists martello_refresh_user on public.user_video_decisions;
    if is_wanted then
        create trigger martello_refresh_user
        after insert or update or delete on public.user_video_decisions
        for each row execute function recsys.refresh_decided_user();
    end if;
end;
$$;
comment on function recsys.follow_decisions(boolean) is
'Puts the trigger on the decisions, or takes it off. recommend_videos feels a like without it; what the trigger adds '
'is that the stored vectors (public.user_embeddings) do too, for some milliseconds per decision.';
