-- int_busy_users says whose lines are looked at: nobody else has lines enough to break a rule.
with eligible as (
    select busy_lines.*
    from (
        {{ matched_lines("select busy_users.user_no from " ~ ref("int_busy_users") ~ " as busy_users") }}
    ) as busy_lines
    where busy_lines.fault is null
),

events as (
    select
        eligible.user_no,
        eligible.user_key,
        eligible.video_id,
        eligible.is_review,
        eligible.stars,
        eligible.label,
        eligible.occurred_at,
        int_catalogue.maker,
        int_busy_users.n_lines
    from eligible
    inner join {{ ref("int_catalogue") }} as int_catalogue on eligible.video_id = int_catalogue.video_id
    inner join {{ ref("int_busy_users") }} as int_busy_users on eligible.user_no = int_busy_users.user_no
),

minutes as (
    select
        events.user_no,
        events.user_key,
        count(distinct events.video_id) as n_events
    from events
    where events.occurred_at is not null
    group by events.user_no, events.user_key, date_trunc('minute', events.occurred_at)
    having min(events.occurred_at) < max(events.occurred_at)
),

bursts as (
    select
        minutes.user_no,
        minutes.user_key,
        max(minutes.n_events) || ' events in one minute' as reason
    from minutes
    group by minutes.user_no, minutes.user_key
    having max(minutes.n_events) >= {{ var("suspicious_events_per_minute") or "null" }}
),

one_rating as (
    select
        events.user_no,
        events.user_key,
        min(events.stars) as stars,
        count(distinct events.video_id) as n_reviews
    from events
    where
        events.is_review
        and events.n_lines >= {{ var("suspicious_identical_stars") or "null" }}
    group by events.user_no, events.user_key
    having
        count(distinct events.video_id) >= {{ var("suspicious_identical_stars") or "null" }}
        and min(events.stars) = max(events.stars)
),

-- what is usual is taken from everybody: where all reviews have five stars, five stars say nothing
identical_stars as (
    select
        one_rating.user_no,
        one_rating.user_key,
        'all ' || one_rating.n_reviews || ' reviews have ' || trim_scale(one_rating.stars) || ' stars' as reason
    from one_rating
    where {{ var("suspicious_identical_stars_usual") }} > (
        select avg(cast(int_matched_lines.stars = one_rating.stars as integer))
        from {{ ref("int_matched_lines") }} as int_matched_lines
        where int_matched_lines.is_review and int_matched_lines.fault is null
    )
),

makers as (
    select
        int_catalogue.maker,
        count(*) / sum(count(*)) over () as share
    from {{ ref("int_catalogue") }} as int_catalogue
    group by int_catalogue.maker
),

likes as (
    select
        events.user_no,
        events.user_key,
        events.maker,
        count(distinct events.video_id) as n_likes,
        sum(count(distinct events.video_id)) over (partition by events.user_no) as n_likes_of_user
    from events
    where
        events.label = 1
        and events.n_lines >= {{ var("suspicious_maker_likes") or "null" }}
    group by events.user_no, events.user_key, events.maker
),

one_maker as (
    select
        likes.user_no,
        likes.user_key,
        round(100 * likes.n_likes / likes.n_likes_of_user) || ' % of ' || likes.n_likes_of_user
        || ' likes are for maker ' || likes.maker as reason
    from likes
    inner join makers on likes.maker = makers.maker
    where
        likes.n_likes_of_user >= {{ var("suspicious_maker_likes") or "null" }}
        and likes.n_likes >= likes.n_likes_of_user * {{ var("suspicious_maker_share") }}
        and makers.share < {{ var("suspicious_maker_usual") }}
),

reasons as (
    select * from bursts
    union all
    select * from identical_stars
    union all
    select * from one_maker
)

select
    reasons.user_no,
    reasons.user_key,
    string_agg(reasons.reason, '; ' order by reasons.reason) as suspicion_reason
from reasons
group by reasons.user_no, reasons.user_key
