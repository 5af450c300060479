select
    int_fresh_outcomes.user_key,
    int_fresh_outcomes.video_id,
    int_fresh_outcomes.label,
    cast(
        case
            when int_fresh_outcomes.outcome = 'seen_only' then 0
            when int_fresh_outcomes.source = 'review' then {{ var("review_weight") }}
            else {{ var("decision_weight") }}
        end as real
    ) as weight,
    int_fresh_outcomes.source,
    int_fresh_outcomes.match_rule,
    int_fresh_outcomes.occurred_at,
    int_fresh_outcomes.split,
    int_fresh_outcomes.outcome = 'seen_only' as is_seen_only,
    int_fresh_outcomes.is_split_from_file
from {{ ref("int_fresh_outcomes") }} as int_fresh_outcomes
where int_fresh_outcomes.outcome in ('used', 'seen_only')
