-- One row per thing that decides what the marts say of users: as many rows as files, items and users of the app, never
-- as many as lines. What stands in a line is known by its file.
with app_lines as (
    select
        'app:' || stg_app__decisions.user_id as user_key,
        hashtextextended(
            concat_ws(
                '|',
                stg_app__decisions.app_table,
                stg_app__decisions.decision,
                stg_app__decisions.happened_at at time zone 'UTC',
                {{ time_state("stg_app__decisions.happened_at") }},
                stg_app__decisions.video_id
            ),
            coalesce(int_catalogue.fingerprint, 0)
        ) as fingerprint
    from {{ ref("stg_app__decisions") }} as stg_app__decisions
    left join {{ ref("int_catalogue") }} as int_catalogue on stg_app__decisions.video_id = int_catalogue.video_id
),

suspicions as (
    select
        int_suspicious_users.user_key,
        hashtextextended(int_suspicious_users.suspicion_reason, 0) as fingerprint
    from {{ ref("int_suspicious_users") }} as int_suspicious_users
),

app_usage as (
    select
        'app:' || int_app_usage.app_user_id as user_key,
        hashtextextended(
            concat_ws('|', int_app_usage.view_time_avg, 'views, sessions', int_app_usage.session_frequency), 0
        ) as fingerprint
    from {{ ref("int_app_usage") }} as int_app_usage
    -- who only watches has no row in the marts that could change
    where 'app:' || int_app_usage.app_user_id in (
        select app_lines.user_key from app_lines
        union all
        select int_load_users.user_key from {{ ref("int_load_users") }} as int_load_users
        union all
        select int_user_links.app_key from {{ ref("int_user_links") }} as int_user_links
    )
),

-- either end: a link that comes or goes changes both
links as (
    select
        int_user_links.reviewer_key as user_key,
        hashint8extended(int_user_links.app_no, 1) as fingerprint
    from {{ ref("int_user_links") }} as int_user_links
    union all
    select
        int_user_links.app_key as user_key,
        hashint8extended(int_user_links.reviewer_no, 2) as fingerprint
    from {{ ref("int_user_links") }} as int_user_links
),

user_facts as (
    select * from app_lines
    union all
    select * from suspicions
    union all
    select * from app_usage
    union all
    select * from links
)

select
    'recipe' as kind,
    cast(0 as bigint) as key,
    cast(null as text) as user_key,
    cast({{ recipe() }} as numeric) as fingerprint
union all
-- no hash: macros/changed_users.sql asks which lines' times have come, or left the window, since
select
    'clock' as kind,
    cast(0 as bigint) as key,
    cast(null as text) as user_key,
    extract(epoch from now()) as fingerprint
union all
select
    int_load_states.source as kind,
    int_load_states.load_id as key,
    cast(null as text) as user_key,
    cast(hashtextextended(int_load_states.reading, 0) as numeric) as fingerprint
from {{ ref("int_load_states") }} as int_load_states
where int_load_states.reading is not null
union all
select
    'item' as kind,
    cast(int_item_videos.item_no as bigint) as key,
    cast(null as text) as user_key,
    cast(int_item_videos.fingerprint as numeric) as fingerprint
from {{ ref("int_item_videos") }} as int_item_videos
union all
select
    'user' as kind,
    {{ user_number("user_facts.user_key") }} as key,
    user_facts.user_key,
    sum(user_facts.fingerprint) as fingerprint
from user_facts
group by user_facts.user_key
