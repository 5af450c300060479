-- New, changed and deleted videos into the version that serves, between two trainings (`python -m trainer sync`).

create or replace function recsys.merge_videos(version text)
returns table (n_added bigint, n_changed bigint, n_removed bigint, n_users bigint)
language plpgsql set search_path = ''
as $$
declare
    -- Another machine adds in another order: float noise is some 1e-6, and no reason to write a row.
    noise constant double precision := 1e-5;
    added uuid[];
    changed uuid[];
    removed uuid[];
    touched uuid[];
begin
    -- a promotion waits for us, or we for it
    perform recsys.take_release_turn();
    if merge_videos.version is distinct from recsys.active_version() then
        raise exception 'version % serves now, no longer %', recsys.active_version(), version using
            errcode = 'object_not_in_prerequisite_state', hint = 'run `python -m trainer sync` again';
    end if;

    with written as (
        update recsys.video_embeddings as stored
        set embedding = computed.embedding, history_embedding = computed.history_embedding
        from pg_temp.computed_videos as computed
        where
            stored.model_version = merge_videos.version
            and stored.video_id = computed.video_id
            and (
                extensions.l2_distance(stored.embedding, computed.embedding) > noise
                or extensions.l2_distance(stored.history_embedding, computed.history_embedding)
                > noise * greatest(1, extensions.vector_norm(stored.history_embedding))
            )
        returning stored.video_id
    )

    select coalesce(array_agg(written.video_id), '{}') into changed from written;

    with written as (
        insert into recsys.video_embeddings as stored (model_version, video_id, embedding, history_embedding)
        select merge_videos.version, computed.video_id, computed.embedding, computed.history_embedding
        from pg_temp.computed_videos as computed
        on conflict (model_version, video_id) do nothing
        returning stored.video_id
    )

    select coalesce(array_agg(written.video_id), '{}') into added from written;

    with written as (
        delete from recsys.video_embeddings as stored
        where
            stored.model_version = merge_videos.version
            and not exists (
                select from pg_temp.computed_videos as computed where computed.video_id = stored.video_id
            )
        returning stored.video_id
    )

    select coalesce(array_agg(written.video_id), '{}') into removed from written;

    touched := added || changed || removed;
    perform recsys.forget_histories_with(merge_videos.version, touched);
    n_users := recsys.refresh_changed_users(merge_videos.version);
    if cardinality(touched) > 0 then
        perform recsys.fill_app_videos(merge_videos.version);
    end if;
    if n_users > 0 then
        perform recsys.fill_app_users(merge_videos.version);
    end if;
    perform recsys.refresh_popularity();
    n_added := cardinality(added);
    n_changed := cardinality(changed);
    n_removed := cardinality(removed);
    return next;
end;
$$;
comment on function recsys.merge_videos(text) is
'Makes the vectors of the version that serves those of pg_temp.computed_videos (video_id, embedding, '
'history_embedding), writing only what differs, and brings the users up to date; says how many of each.';

create or replace function recsys.forget_histories_with(version text, video_ids uuid[]) returns void
language plpgsql set search_path = ''
as $$
begin
    if cardinality(video_ids) = 0 then
        return;
    end if;
    -- the history is the same, what its videos say is not: the stored vector is stale
    if to_regclass('marts.fct_interactions') is not null then
        update recsys.user_embeddings as embeddings
        set history_hash = null
        where
            embeddings.model_version = forget_histories_with.version
            and embeddings.user_key in (
                select facts.user_key
                from marts.fct_interactions as facts
                where facts.video_id = any(forget_histories_with.video_ids) and facts.label is not null
            );
    end if;
    update recsys.user_embeddings as embeddings
    set history_hash = null
    where
        embeddings.model_version = forget_histories_with.version
        and embeddings.user_key in (
            select 'app:' || live.user_id
            from recsys.live_decisions() as live
            where live.video_id = any(forget_histories_with.video_ids) and live.label is not null
        );
end;
$$;
comment on function recsys.forget_histories_with(text, uuid[]) is
'Marks the stored vectors of users who liked or disliked one of these videos, so that they are computed again.';
