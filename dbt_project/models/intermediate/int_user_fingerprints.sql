-- A sum of hashes per user, so that nothing is sorted: lines that come, go or change, one by one, change it.
with loads as (
    select
        int_load_states.source,
        int_load_states.load_id,
        hashtextextended(int_load_states.reading, 0) as fingerprint
    from {{ ref("int_load_states") }} as int_load_states
),

-- what stands in a line is known by its file's fingerprint and its number
file_lines as (
    select
        coalesce(int_user_links.app_no, int_lines.user_no, 0) as user_no,
        hashint8extended(
            4 * int_lines.line_number + {{ time_state("int_lines.happened_at") }},
            hashint8extended(coalesce(loads.fingerprint, 0), coalesce(int_item_videos.fingerprint, 0))
        ) as fingerprint
    from {{ ref("int_lines") }} as int_lines
    left join loads on int_lines.source = loads.source and int_lines.load_id = loads.load_id
    left join {{ ref("int_item_videos") }} as int_item_videos on int_lines.item_no = int_item_videos.item_no
    left join {{ ref("int_user_links") }} as int_user_links on int_lines.user_no = int_user_links.reviewer_no
),

app_lines as (
    select
        coalesce(int_user_numbers.user_no, 0) as user_no,
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
    left join {{ ref("int_user_numbers") }} as int_user_numbers
        on 'app:' || stg_app__decisions.user_id = int_user_numbers.user_key
),

suspicions as (
    select
        int_suspicious_users.user_no,
        hashtextextended(int_suspicious_users.suspicion_reason, 0) as fingerprint
    from {{ ref("int_suspicious_users") }} as int_suspicious_users
),

app_usage as (
    select
        int_user_numbers.user_no,
        hashtextextended(
            concat_ws('|', int_app_usage.view_time_avg, 'views, sessions', int_app_usage.session_frequency), 0
        ) as fingerprint
    from {{ ref("int_app_usage") }} as int_app_usage
    inner join {{ ref("int_user_numbers") }} as int_user_numbers
        on 'app:' || int_app_usage.app_user_id = int_user_numbers.user_key
),

facts as (
    select * from file_lines
    union all
    select * from app_lines
    union all
    select * from suspicions
    union all
    select * from app_usage
)

select
    facts.user_no,
    sum(facts.fingerprint) + {{ recipe() }} as fingerprint
from facts
group by facts.user_no
