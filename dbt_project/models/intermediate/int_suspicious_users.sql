{%- set thresholds = [
    var("suspicious_events_per_minute"), var("suspicious_identical_stars"), var("suspicious_maker_likes"),
] | reject("none") | list -%}

-- Only these can break a rule: everything below looks at a few users, however many there are, and each rule at those
-- with lines enough for it. Whoever the app knows may have more than the files say.
with busy_users as (
    select
        int_load_users.user_no,
        sum(int_load_users.n_lines) as n_lines
    from {{ ref("int_load_users") }} as int_load_users
    where int_load_users.user_no != 0
    group by int_load_users.user_no
    having sum(int_load_users.n_lines) >= {{ thresholds | min if thresholds else "null" }}
    union all
    select
        int_user_links.app_no as user_no,
        null as n_lines
    from {{ ref("int_user_links") }} as int_user_links
    union all
    select
        int_user_numbers.user_no,
        null as n_lines
    from {{ ref("stg_app__decisions") }} as stg_app__decisions
    inner join {{ ref("int_user_numbers") }} as int_user_numbers
        on 'app:' || stg_app__decisions.user_id = int_user_numbers.user_key
),

eligible as (
    select busy_lines.*
    from (
        {{ matched_lines("select busy_users.user_no from busy_users") }}
    ) as busy_lines
    where busy_lines.fault is null
),

events as (
    select
        eligible.user_no,
        eligible.video_id,
        eligible.is_review,
        eligible.stars,
        eligible.label,
        eligible.occurred_at,
        int_catalogue.maker
    from eligible
    inner join {{ ref("int_catalogue") }} as int_catalogue on eligible.video_id = int_catalogue.video_id
),

minutes as (
    select
        events.user_no,
        count(distinct events.video_id) as n_events
    from events
    where events.occurred_at is not null
    group by events.user_no, date_trunc('minute', events.occurred_at)
    having count(distinct events.occurred_at) > 1
),

bursts as (
    select
        minutes.user_no,
        max(minutes.n_events) || ' events in one minute' as reason
    from minutes
    group by minutes.user_no
    having max(minutes.n_events) >= {{ var("suspicious_events_per_minute") or "null" }}
),

one_rating as (
    select
        events.user_no,
        min(events.stars) as stars,
        count(distinct events.video_id) as n_reviews
    from events
    where
        events.is_review
        and events.user_no in (
            select busy_users.user_no from busy_users
            where coalesce(busy_users.n_lines >= {{ var("suspicious_identical_stars") or "null" }}, true)
        )
    group by events.user_no
    having
        count(distinct events.video_id) >= {{ var("suspicious_identical_stars") or "null" }}
        and min(events.stars) = max(events.stars)
),

-- what is usual is taken from everybody: where all reviews have five stars, five stars say nothing
identical_stars as (
    select
        one_rating.user_no,
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
        events.maker,
        count(distinct events.video_id) as n_likes,
        sum(count(distinct events.video_id)) over (partition by events.user_no) as n_likes_of_user
    from events
    where
        events.label = 1
        and events.user_no in (
            select busy_users.user_no from busy_users
            where coalesce(busy_users.n_lines >= {{ var("suspicious_maker_likes") or "null" }}, true)
        )
    group by events.user_no, events.maker
),

one_maker as (
    select
        likes.user_no,
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
    int_user_numbers.user_key,
    string_agg(reasons.reason, '; ' order by reasons.reason) as suspicion_reason
from reasons
inner join {{ ref("int_user_numbers") }} as int_user_numbers on reasons.user_no = int_user_numbers.user_no
group by reasons.user_no, int_user_numbers.user_key
