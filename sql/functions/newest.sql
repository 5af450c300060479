-- For people without a like: what most liked, with a share of the places for what has just come and nobody could
-- have liked yet. Without it a new video meets only those whose history it happens to fit.

create or replace function recsys.setting(name text) returns text
language sql stable set search_path = ''
as $$
    select settings.value #>> '{}' from recsys.settings where settings.key = name
$$;
comment on function recsys.setting(text) is 'A dial or fact of recsys.settings as text; null where it is not set.';

create or replace function recsys.newest(match_count integer, banned_ids uuid[], filters recsys.list_filters)
returns table (video_id uuid, listed_at timestamptz)
language plpgsql stable set search_path = ''
as $$
begin
    if match_count < 1 then
        return;
    end if;
    return query execute format(
        $sql$
            with numbered as (
                select
                    counts.video_id,
                    counts.listed_at,
                    row_number() over (
                        partition by coalesce(videos.maker, counts.video_id::text)
                        order by counts.listed_at desc, counts.video_id
                    ) as place_at_maker
                from recsys.video_popularity as counts
                inner join public.videos on videos.id = counts.video_id
                where counts.listed_at > $4 and counts.listed_at <= now() and counts.video_id <> all($2) %s
            )

            select numbered.video_id, numbered.listed_at
            from numbered
            where ($3).max_per_maker is null or numbered.place_at_maker <= ($3).max_per_maker
            order by numbered.listed_at desc, numbered.video_id
            limit $1
        $sql$,
        recsys.wanted_condition('counts.video_id', filters) || recsys.unwanted_condition('counts.video_id', filters)
    )
    using match_count, banned_ids, filters, recsys.setting('new_since')::timestamptz;
end;
$$;
comment on function recsys.newest(integer, uuid[], recsys.list_filters) is
'The videos listed last within the month, as of recsys.refresh_popularity(); after the same filters as '
'recsys.nearest. None where most of the catalogue is new.';

create or replace function recsys.popular_and_new(
    match_count integer, banned_ids uuid[], filters recsys.list_filters
) returns table (place bigint, video_id uuid, score real, reason text)
language plpgsql stable set search_path = ''
as $$
#variable_conflict use_column
declare
    new_share constant double precision := least(greatest(recsys.setting('new_share')::double precision, 0), 0.9);
    new_ids uuid[];
    listed_ats timestamptz[];
begin
    select coalesce(array_agg(newest.video_id), '{}'), array_agg(newest.listed_at)
    into new_ids, listed_ats
    from recsys.newest(floor(match_count * new_share)::integer, banned_ids, filters) as newest;

    return query
    with listed as (
        select
            popular.video_id, popular.score, recsys.popularity_reason(popular.n_recent, popular.n_likes) as reason,
            row_number() over () / (1 - case when new_ids = '{}' then 0 else new_share end) as at
        from recsys.popular(
            match_count - cardinality(new_ids), 30, banned_ids || new_ids, filters, new_ids
        ) as popular
        union all
        -- the k-th new video at place k / share: every fifth where the share is a fifth
        select newest.id, null, 'new: listed on ' || (newest.listed_at at time zone 'UTC')::date, newest.place / new_share
        from unnest(new_ids, listed_ats) with ordinality as newest (id, listed_at, place)
    )

    select
        row_number() over (order by listed.at, listed.score is null, listed.video_id),
        listed.video_id,
        -- a new video has the score of the popular one it stands behind, so the scores of a list never rise
        coalesce(min(listed.score) over (order by listed.at, listed.score is null, listed.video_id), 0)::real,
        listed.reason
    from listed;
end;
$$;
comment on function recsys.popular_and_new(integer, uuid[], recsys.list_filters) is
'The list of visitors and of people without a like: recsys.popular, and at the share of places that '
'recsys.settings new_share says the newest videos.';
