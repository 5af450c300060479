-- How often each video is liked, and how popular that makes it.
--
-- Counting every like at every call is what a small app can afford and a large one cannot. So the counts of the last
-- 30 days and of all time are kept as of the last refresh, and the likes since then are added at each call.

create or replace function recsys.likes() returns table (video_id uuid, occurred_at timestamptz)
language plpgsql stable set search_path = ''
as $$
#variable_conflict use_column
declare
    has_live constant boolean := recsys.has_live_decisions();
begin
    if to_regclass('marts.fct_interactions') is not null then
        return query
        select facts.video_id, facts.occurred_at
        from marts.fct_interactions as facts
        where
            facts.label = 1
            and not (has_live and facts.source = 'app')
            and not (facts.is_split_from_file and facts.split is not distinct from 'test');
    end if;
    return query
    select live.video_id, live.decided_at from recsys.live_decisions() as live where live.label = 1;
end;
$$;
comment on function recsys.likes() is 'One row per like known now, from the marts and the app.';

create or replace function recsys.like_counts(recent_days integer)
returns table (video_id uuid, n_recent bigint, n_likes bigint, listed_at timestamptz)
language sql stable set search_path = ''
as $$
    with counted as (
        select
            likes.video_id,
            count(*) filter (where likes.occurred_at >= now() - make_interval(days => recent_days)) as n_recent,
            count(*) as n_likes
        from recsys.likes() as likes
        group by likes.video_id
    )

    select
        videos.id,
        coalesce(counted.n_recent, 0),
        coalesce(counted.n_likes, 0),
        coalesce(videos.product_released_at, videos.created_at, '-infinity')
    from public.videos
    left join counted on counted.video_id = videos.id
$$;
comment on function recsys.like_counts(integer) is
'One row per video of the catalogue: likes within so many days, likes of all time, and since when it is listed.';

create or replace function recsys.refresh_popularity() returns bigint
language plpgsql set search_path = ''
as $$
declare
    new_since constant timestamptz := now() - interval '30 days';
    n_changed bigint;
begin
    insert into recsys.settings (key, value, reason)
    values ('popularity_counted_at', to_jsonb(clock_timestamp()), 'likes after this are added at each call')
    on conflict (key) do update set value = excluded.value, updated_at = now();

    delete from recsys.video_popularity as popularity
    where not exists (select from public.videos where videos.id = popularity.video_id);

    insert into recsys.video_popularity as popularity (video_id, n_recent, n_likes, listed_at)
    select counts.video_id, counts.n_recent, counts.n_likes, counts.listed_at
    from recsys.like_counts(30) as counts
    on conflict (video_id) do update
    set n_recent = excluded.n_recent, n_likes = excluded.n_likes, listed_at = excluded.listed_at
    where
        (popularity.n_recent, popularity.n_likes, popularity.listed_at)
        is distinct from (excluded.n_recent, excluded.n_likes, excluded.listed_at);
    get diagnostics n_changed = row_count;

    -- Where more than a tenth of the catalogue came within a month, as in a first import, being new says nothing.
    insert into recsys.settings (key, value, reason)
    select
        'new_since',
        case
            when count(*) filter (where popularity.listed_at between new_since and now()) <= 0.1 * count(*)
                then to_jsonb(new_since)
            else 'null'
        end,
        'videos listed after this are the new ones in the lists of people without a like'
    from recsys.video_popularity as popularity
    on conflict (key) do update set value = excluded.value, updated_at = now();
    return n_changed;
end;
$$;
comment on function recsys.refresh_popularity() is
'Counts the likes anew and returns how many videos changed; every promotion and every sync of videos does it.';

create or replace function recsys.popularity_score(n_recent bigint, n_likes bigint) returns real
language sql immutable set search_path = ''
as $$
    select (1 - 1 / (1 + n_recent + n_likes / (n_likes + 1.0)))::real
$$;
comment on function recsys.popularity_score(bigint, bigint) is
'0 to 1, growing with the recent likes and, between equals, with all likes.';

create or replace function recsys.popularity_reason(n_recent bigint, n_likes bigint) returns text
language sql immutable set search_path = ''
as $$
    select case
        when n_recent > 0 then 'popular now: ' || n_recent || ' likes in 30 days'
        when n_likes > 0 then 'popular: ' || n_likes || ' likes'
        else 'popular videos come first, this one is new or not yet liked'
    end
$$;
comment on function recsys.popularity_reason(bigint, bigint) is 'Why a video stands in a list of popular ones.';

create or replace function recsys.popularity_of(video uuid)
returns table (n_recent bigint, n_likes bigint, score real)
language sql stable set search_path = ''
as $$
    select
        counted.n_recent,
        counted.n_likes,
        recsys.popularity_score(counted.n_recent, counted.n_likes)
    from (
        select
            count(*) filter (where likes.occurred_at >= now() - interval '30 days') as n_recent,
            count(*) as n_likes
        from recsys.likes() as likes
        where likes.video_id = video
    ) as counted
    where exists (select from public.videos where videos.id = video)
$$;
comment on function recsys.popularity_of(uuid) is 'How popular one video is now; no row when it does not exist.';
