with pairs as (
    select
        int_line_outcomes.*,
        int_line_outcomes.outcome = 'seen_only' as is_seen_only,
        int_line_outcomes.outcome = 'used' and int_line_outcomes.split is not null as is_split_from_file
    from {{ ref("int_line_outcomes") }} as int_line_outcomes
    where int_line_outcomes.outcome in ('used', 'seen_only')
),

{{ split_up("pairs") }}

select
    split_up.user_key,
    split_up.video_id,
    split_up.label,
    cast(
        case
            when split_up.is_seen_only then 0
            when split_up.source = 'review' then {{ var("review_weight") }}
            else {{ var("decision_weight") }}
        end as real
    ) as weight,
    split_up.source,
    split_up.match_rule,
    split_up.occurred_at,
    case
        when split_up.is_seen_only then null
        when split_up.is_split_from_file then split_up.split
        else split_up.drawn_split
    end as split,
    split_up.is_seen_only,
    split_up.is_split_from_file
from split_up
