-- What is known about a user now: the marts as of the last dbt build, united with the app's decisions as of this
-- moment. String-bodied plpgsql throughout, so that dbt may drop and rebuild the marts underneath, and each table
-- is looked up before it is named, so that all of it works before the first build.

create or replace function recsys.has_live_decisions() returns boolean
language sql stable set search_path = ''
as $$
    select coalesce(to_regclass('public.user_video_decisions'), to_regclass('public.likes')) is not null
$$;
comment on function recsys.has_live_decisions() is 'Whether there is a table of the app to read decisions from.';

create or replace function recsys.known_decisions() returns table (decision text, label smallint)
language plpgsql stable set search_path = ''
as $$
begin
    if to_regclass('marts.decision_labels') is not null then
        return query select labels.decision::text, labels.label::smallint from marts.decision_labels as labels;
    else  -- before the first dbt build: what its seed says
        return query
        select prefix || word.decision, word.label
        from (values ('like', 1::smallint), ('dislike', 0::smallint), ('nope', 0::smallint)) as word (decision, label)
        cross join unnest(array['', 'swipe_', 'grid_']) as prefix;
    end if;
end;
$$;
comment on function recsys.known_decisions() is
'The words of decisions and their labels, from the dbt seed decision_labels; a word without a label is a skip.';

create or replace function recsys.user_decisions(app_user uuid)
returns table (video_id uuid, label smallint, decided_at timestamptz)
language plpgsql stable set search_path = ''
as $$
#variable_conflict use_column
begin
    if to_regclass('public.user_video_decisions') is not null then
        return query
        select decisions.video_id, known.label, decisions.created_at
        from public.user_video_decisions as decisions
        left join recsys.known_decisions() as known on known.decision = lower(btrim(decisions.decision_type))
        where decisions.user_id = app_user and decisions.video_id is not null;
    end if;
    if to_regclass('public.likes') is not null then
        return query
        select likes.video_id, 1::smallint, likes.created_at
        from public.likes
        where likes.user_id = app_user and likes.video_id is not null;
    end if;
end;
$$;
comment on function recsys.user_decisions(uuid) is
'One row per decision of a user in the app''s tables: label 1, 0 or null (a skip, or a word nobody knows).';

create or replace function recsys.live_decisions(since timestamptz default '-infinity')
returns table (user_id uuid, video_id uuid, label smallint, decided_at timestamptz)
language plpgsql stable set search_path = ''
as $$
#variable_conflict use_column
begin
    if since = 'infinity' then
        return;
    end if;
    if to_regclass('public.user_video_decisions') is not null then
        return query
        select decisions.user_id, decisions.video_id, known.label, decisions.created_at
        from public.user_video_decisions as decisions
        left join recsys.known_decisions() as known on known.decision = lower(btrim(decisions.decision_type))
        where (since = '-infinity' or decisions.created_at > since) and decisions.video_id is not null;
    end if;
    if to_regclass('public.likes') is not null then
        return query
        select likes.user_id, likes.video_id, 1::smallint, likes.created_at
        from public.likes
        where (since = '-infinity' or likes.created_at > since) and likes.video_id is not null;
    end if;
end;
$$;
comment on function recsys.live_decisions(timestamptz) is 'The decisions of all users of the app made after a time.';

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
    app_user constant uuid := case when not is_training_cut then recsys.app_user_of(user_key) end;
    has_live constant boolean := app_user is not null and recsys.has_live_decisions();
begin
    if to_regclass('marts.fct_interactions') is null then
        return query
        select distinct on (live.video_id) live.video_id, live.label, live.decided_at
        from recsys.user_decisions(app_user) as live
        order by live.video_id, live.label is null, live.decided_at desc nulls last, live.label;
        return;
    end if;
    return query
    with known as (
        -- The app's own rows are a copy of what the live table says better; a row whose file said test is the
        -- answer of somebody's exam, so nothing here may know it.
        select
            facts.video_id,
            case when facts.is_seen_only then -1::smallint else facts.label end as label,
            facts.occurred_at,
            facts.source = 'review' as is_review
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
        from recsys.user_decisions(app_user) as live
    )

    select distinct on (known.video_id) known.video_id, known.label, known.occurred_at
    from known
    -- a label before a skip, a decision before a review, then the latest
    order by known.video_id, known.label is null, known.is_review, known.occurred_at desc nulls last, known.label;
end;
$$;
comment on function recsys.user_videos(text, boolean) is
'One row per video the user has met: label 1 or 0, -1 when seen without an opinion, null when skipped. The '
'training cut: what the marts marked train or only seen, nothing live.';

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
    is_united constant boolean := has_live and recsys.has_live_decisions();
begin
    -- recsys.user_videos and recsys.history_hash for everybody at once
    if to_regclass('marts.fct_interactions') is null then
        return query
        select
            decided.user_key,
            bit_xor(hash_record_extended(row(decided.video_id, decided.label, decided.decided_at), 0)),
            bool_or(decided.label = 1)
        from (
            select distinct on (live.user_id, live.video_id)
                'app:' || live.user_id as user_key, live.video_id, live.label, live.decided_at
            from recsys.live_decisions() as live
            where is_united and live.label is not null
            order by live.user_id, live.video_id, live.decided_at desc nulls last, live.label
        ) as decided
        group by decided.user_key;
        return;
    end if;
    return query
    with known as (
        select
            facts.user_key,
            facts.video_id,
            case when facts.is_seen_only then -1::smallint else facts.label end as label,
            facts.occurred_at,
            facts.source = 'review' as is_review
        from marts.fct_interactions as facts
        where
            not (is_united and facts.source = 'app')
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
'One row per user with a history: its hash and whether a like is in it; with the live decisions, or as the marts '
'alone know it.';
