with lines as (
    select
        int_matched_lines.*,
        case
            when int_matched_lines.fault is not null then int_matched_lines.fault
            when int_suspicious_users.user_key is not null then 'suspicious_user'
        end as exclusion
    from {{ ref("int_matched_lines") }} as int_matched_lines
    left join {{ ref("int_suspicious_users") }} as int_suspicious_users
        on int_matched_lines.user_key = int_suspicious_users.user_key
),

-- per user, video and kind the newest line is number 1
ranked as (
    select
        lines.*,
        row_number() over (
            partition by lines.user_key, lines.video_id, lines.is_review
            order by
                lines.occurred_at desc nulls last,
                lines.load_id desc nulls first,
                lines.line_number desc,
                lines.label desc
        ) as recency,
        -- an eligible decision always carries a label, so its presence decides the pair
        bool_or(not lines.is_review) over (partition by lines.user_key, lines.video_id) as is_decided
    from lines
    where lines.exclusion is null
),

excluded as (
    select
        lines.*,
        lines.exclusion as outcome
    from lines
    where lines.exclusion is not null
),

eligible as (
    select
        ranked.*,
        case
            when ranked.recency > 1 then 'duplicate'
            when ranked.is_review and ranked.is_decided then 'overridden'
            when ranked.label is null then 'seen_only'
            else 'used'
        end as outcome
    from ranked
)

select
    eligible.source,
    eligible.load_id,
    eligible.line_number,
    eligible.user_key,
    eligible.item_no,
    eligible.video_id,
    eligible.match_rule,
    eligible.label,
    eligible.occurred_at,
    eligible.split,
    eligible.outcome
from eligible
union all
select
    excluded.source,
    excluded.load_id,
    excluded.line_number,
    excluded.user_key,
    excluded.item_no,
    excluded.video_id,
    excluded.match_rule,
    excluded.label,
    excluded.occurred_at,
    excluded.split,
    excluded.outcome
from excluded
