with lines as (
    select
        int_matched_lines.*,
        cast(md5(int_matched_lines.user_key || ' ' || int_matched_lines.video_key) as uuid) as lot,
        coalesce(
            int_matched_lines.fault,
            case when int_suspicious_users.user_key is not null then 'suspicious_user' end
        ) as exclusion
    from {{ ref("int_matched_lines") }} as int_matched_lines
    left join {{ ref("int_suspicious_users") }} as int_suspicious_users
        on int_matched_lines.user_key = int_suspicious_users.user_key
),

-- the lines of one user and video in a row: decisions before reviews, the newest of each first
lined_up as (
    select
        lines.*,
        lag(lines.is_review) over (
            partition by lines.user_key, lines.video_id, lines.exclusion is null
            order by
                lines.is_review asc,
                lines.occurred_at desc nulls last,
                lines.load_id desc nulls first,
                lines.line_number desc,
                lines.label desc
        ) as is_review_before
    from lines
),

decided as (
    select
        lined_up.*,
        case
            when lined_up.exclusion is not null then lined_up.exclusion
            when lined_up.is_review_before = lined_up.is_review then 'duplicate'
            -- the newest review behind a decision: an eligible decision always carries a label
            when not lined_up.is_review_before then 'overridden'
            when lined_up.label is null then 'seen_only'
            else 'used'
        end as outcome
    from lined_up
),

to_split as (
    select
        decided.*,
        decided.outcome = 'used' and decided.split is null as is_to_split
    from decided
)

select
    to_split.source,
    to_split.load_id,
    to_split.line_number,
    to_split.user_key,
    to_split.item_no,
    to_split.video_id,
    to_split.match_rule,
    to_split.label,
    to_split.occurred_at,
    to_split.outcome,
    to_split.split,
    to_split.is_to_split,
    {{ draw_lots("to_split") }}
from to_split
