-- The list of what most people liked: for visitors, for users without a history, and to fill lists up.

drop function if exists recsys.popular(integer, integer, uuid[], uuid[], uuid[], integer, uuid[]);

create or replace function recsys.popular(
    match_count integer,
    window_days integer default 30,
    banned_ids uuid[] default '{}',
    filters recsys.list_filters default null,
    taken_ids uuid[] default '{}'
) returns table (video_id uuid, score real, n_recent bigint, n_likes bigint)
language plpgsql stable set search_path = ''
as $$
#variable_conflict use_column
declare
    counted_at timestamptz;
    filter constant text := 'counts.video_id <> all($2)' || recsys.wanted_condition('counts.video_id', filters)
        || recsys.unwanted_condition('counts.video_id', filters);
    per_maker constant integer := filters.max_per_maker;
    ids uuid[];
    recents bigint[];
    totals bigint[];
begin
    if match_count < 1 or to_regclass('public.videos') is null then
        return;
    end if;
    if window_days = 30 and per_maker is null then
        select (settings.value #>> '{}')::timestamptz into counted_at
        from recsys.settings where settings.key = 'popularity_counted_at';
    end if;
    if counted_at is not null then
        execute recsys.popular_query('recsys.video_popularity', filter)
        into ids, recents, totals
        using match_count, banned_ids, filters, match_count, counted_at, per_maker, taken_ids;
    end if;
    -- Never counted, another window, or too few because videos are new: everything is counted now.
    if coalesce(cardinality(ids), 0) < match_count then
        execute recsys.popular_query(format('recsys.like_counts(%s)', least(greatest(window_days, 0), 36500)), filter)
        into ids, recents, totals
        using
            match_count, banned_ids, filters, null::bigint, 'infinity'::timestamptz, per_maker, taken_ids;
    end if;
    return query
    select
        found.id,
        recsys.popularity_score(found.n_recent, found.n_likes),
        found.n_recent,
        found.n_likes
    from unnest(ids, recents, totals) as found (id, n_recent, n_likes);
end;
$$;
comment on function recsys.popular(integer, integer, uuid[], recsys.list_filters, uuid[]) is
'The match_count videos with most likes in the window, then of all time, then the newest; after the same filters as '
'recsys.nearest. taken_ids count towards max_per_maker but are not listed.';

create or replace function recsys.popular_query(source text, filter text) returns text
language sql immutable set search_path = ''
as $$
    select format(
        $sql$
            with fresh as materialized (
                select live.video_id, count(*) as n_likes
                from recsys.live_decisions($5) as live
                where live.label = 1
                group by live.video_id
            ),

            settled as (
                select counts.video_id, counts.n_recent, counts.n_likes, counts.listed_at
                from %1$s as counts
                where counts.video_id not in (select fresh.video_id from fresh) and %2$s
                order by counts.n_recent desc, counts.n_likes desc, counts.listed_at desc, counts.video_id
                limit $4
            ),

            raised as (
                select
                    counts.video_id,
                    coalesce(popularity.n_recent, 0) + counts.n_likes as n_recent,
                    coalesce(popularity.n_likes, 0) + counts.n_likes as n_likes,
                    coalesce(popularity.listed_at, '-infinity') as listed_at
                from fresh as counts
                left join recsys.video_popularity as popularity on popularity.video_id = counts.video_id
                where %2$s
            ),

            numbered as (
                select
                    merged.*,
                    row_number() over (
                        partition by coalesce(videos.maker, merged.video_id::text)
                        order by merged.n_recent desc, merged.n_likes desc, merged.listed_at desc, merged.video_id
                    ) + coalesce(taken.n_videos, 0) as place_at_maker
                from (select * from settled union all select * from raised) as merged
                inner join public.videos on videos.id = merged.video_id
                left join (
                    select videos.maker, count(*) as n_videos
                    from public.videos
                    where videos.id = any($7)
                    group by videos.maker
                ) as taken on taken.maker = videos.maker
                where merged.video_id <> all($7)
            ),

            listed as (
                select
                    numbered.*,
                    row_number() over (
                        order by
                            numbered.n_recent desc, numbered.n_likes desc, numbered.listed_at desc, numbered.video_id
                    ) as place
                from numbered
                where $6 is null or numbered.place_at_maker <= $6
            )

            select
                array_agg(listed.video_id order by listed.place),
                array_agg(listed.n_recent order by listed.place),
                array_agg(listed.n_likes order by listed.place)
            from listed
            where listed.place <= $1
        $sql$,
        source, filter
    )
$$;
comment on function recsys.popular_query(text, text) is 'The text recsys.popular runs over one source of counts.';

create or replace function public.popular_videos(match_count integer default 20, window_days integer default 30)
returns table (video_id uuid, score real)
language sql stable security definer set search_path = ''
as $$
    select popular.video_id, popular.score
    from recsys.popular(coalesce(match_count, 20), coalesce(window_days, 30)) as popular
$$;
comment on function public.popular_videos(integer, integer) is
'The most liked videos of the last window_days, then of all time, then the newest; score between 0 and 1.';
