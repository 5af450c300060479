-- What is known about a user now: the marts as of the last dbt build, united with the app's decisions as of this
-- moment. String-bodied plpgsql throughout, so that dbt may drop and rebuild the marts underneath, and each table
-- is looked up before it is named, so that all of it works before the first build.

create or replace function recsys.live_decisions(app_user uuid default null, since timestamptz default '-infinity')
returns table (user_id uuid, video_id uuid, label smallint, decided_at timestamptz)
language plpgsql stable set search_path = ''
as $$
#variable_conflict use_column
begin
    if to_regclass('public.user_video_decisions') is null or since = 'infinity' then
        return;
    end if;
    -- The seed may not be loaded yet; then the words the app itself uses.
    if to_regclass('marts.decision_labels') is null then
        return query
        select
            decisions.user_id,
            decisions.video_id,
            case
                when lower(btrim(decisions.decision_type)) in ('like', 'swipe_like', 'grid_like') then 1::smallint
                when lower(btrim(decisions.decision_type)) in ('dislike', 'nope', 'swipe_nope', 'grid_nope')
                    then 0::smallint
            end,
            decisions.created_at
        from public.user_video_decisions as decisions
        where
            (app_user is null or decisions.user_id = app_user)
            and decisions.created_at > since
            and decisions.video_id is not null;
    else
        return query
        select decisions.user_id, decisions.video_id, labels.label::smallint, decisions.created_at
        from public.user_video_decisions as decisions
        left join marts.decision_labels as labels on labels.decision = lower(btrim(decisions.decision_type))
        where
            (app_user is null or decisions.user_id = app_user)
            and decisions.created_at > since
            and decisions.video_id is not null;
    end if;
end;
$$;
comment on function recsys.live_decisions(uuid, timestamptz) is
'One row per decision in the app: label 1, 0 or null (a skip); of one user, or of all, or of those since a time.';

create or replace function recsys.app_user_of(user_key text) returns uuid
language sql immutable set search_path = ''
as $$
    select case
        when user_key ~ '^app:[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$' then substr(user_key, 5)::uuid
    end
$$;
comment on function recsys.app_user_of(text) is 'The uuid inside app:<uuid>; null for reviewers.';

create or replace function recsys.user_videos(user_key text, is_training_cut boolean default false)
returns table (video_id uuid, label smallint, occurred_at timestamptz)
language plpgsql stable set search_path = ''
as $$
#variable_conflict use_column
declare
    app_user constant uuid := recsys.app_user_of(user_key);
    has_live constant boolean := app_user is not null and not is_training_cut
        and to_regclass('public.user_video_decisions') is not null;
begin
    if to_regclass('marts.fct_interactions') is null then
        return query
        select live.video_id, live.label, live.decided_at from recsys.live_decisions(app_user) as live
        where has_live;
        return;
    end if;
    return query
    with known as (
        -- The app's own rows are a copy of what the live table says better; a row whose file said test is the
        -- answer of somebody's exam, so nothing here may know it.
        select
            facts.video_id, facts.label, facts.occurred_at, facts.source = 'review' as is_review
        from marts.fct_interactions as facts
        where
            facts.user_key = user_videos.user_key
            and not (has_live and facts.source = 'app')
            and not (facts.is_split_from_file and facts.split is not distinct from 'test')
            and (not is_training_cut or facts.split = 'train' or facts.is_seen_only)
        union all
        select
            live.video_id,
            live.label,
            -- as dbt: a time in the future is no time. The clock of this moment, because the transaction may be old
            case when live.decided_at <= clock_timestamp() then live.decided_at end,
            false
        from recsys.live_decisions(app_user) as live
        where has_live
    )

    select distinct on (known.video_id) known.video_id, known.label, known.occurred_at
    from known
    -- a label before a skip, a decision before a review, then the latest
    order by known.video_id, known.label is null, known.is_review, known.occurred_at desc nulls last, known.label;
end;
$$;
comment on function recsys.user_videos(text, boolean) is
'One row per video the user has met: label 1 or 0, or null when only seen or skipped. The training cut: what '
'the marts marked train or only seen, nothing live.';

create or replace function recsys.history_hash(video_ids uuid[], labels smallint[], occurred_ats timestamptz[])
returns bigint
language sql immutable set search_path = ''
as $$
    -- XOR: whatever the order; a video stands once, so nothing cancels out
    select coalesce(bit_xor(hash_record_extended(row(event.video_id, event.label, event.occurred_at), 0)), 0)
    from unnest(video_ids, labels, occurred_ats) as event (video_id, label, occurred_at)
    where event.label is not null
$$;
comment on function recsys.history_hash(uuid[], smallint[], timestamptz[]) is
'What a stored user vector remembers of the history it was computed from.';

create or replace function recsys.histories(has_live boolean)
returns table (user_key text, history_hash bigint, has_like boolean)
language plpgsql stable set search_path = ''
as $$
#variable_conflict use_column
declare
    is_united constant boolean := has_live and to_regclass('public.user_video_decisions') is not null;
begin
    -- recsys.user_videos and recsys.history_hash for everybody at once
    if to_regclass('marts.fct_interactions') is null then
        return query
        select
            'app:' || live.user_id,
            bit_xor(hash_record_extended(row(live.video_id, live.label, live.decided_at), 0)),
            bool_or(live.label = 1)
        from recsys.live_decisions() as live
        where is_united and live.label is not null
        group by live.user_id;
        return;
    end if;
    return query
    with known as (
        select
            facts.user_key, facts.video_id, facts.label, facts.occurred_at, facts.source = 'review' as is_review
        from marts.fct_interactions as facts
        where
            facts.label is not null
            and not (is_united and facts.source = 'app')
            and not (facts.is_split_from_file and facts.split is not distinct from 'test')
        union all
        select
            'app:' || live.user_id,
            live.video_id,
            live.label,
            case when live.decided_at <= clock_timestamp() then live.decided_at end,
            false
        from recsys.live_decisions() as live
        where is_united and live.label is not null
    ),

    decided as (
        select distinct on (known.user_key, known.video_id)
            known.user_key, known.video_id, known.label, known.occurred_at
        from known
        order by
            known.user_key, known.video_id, known.is_review, known.occurred_at desc nulls last, known.label
    )

    select
        decided.user_key,
        bit_xor(hash_record_extended(row(decided.video_id, decided.label, decided.occurred_at), 0)),
        bool_or(decided.label = 1)
    from decided
    group by decided.user_key;
end;
$$;
comment on function recsys.histories(boolean) is
'One row per user with a labelled history: its hash and whether a like is in it; with the live decisions, or as the '
'marts alone know it.';
