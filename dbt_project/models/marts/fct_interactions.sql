select
    int_fresh_outcomes.user_key,
    int_fresh_outcomes.video_id,
    int_fresh_outcomes.label,
    -- each a constant: a number to be cast row by row takes as long as the rest of a row. What was only seen has no
    -- label, and a null is asked for faster than a word
    case
        when int_fresh_outcomes.label is null then cast(0 as real)
        when int_fresh_outcomes.source = 'review' then cast({{ var("review_weight") }} as real)
        else cast({{ var("decision_weight") }} as real)
    end as weight,
    int_fresh_outcomes.source,
    int_fresh_outcomes.match_rule,
    int_fresh_outcomes.occurred_at,
    int_fresh_outcomes.split,
    int_fresh_outcomes.label is null as is_seen_only,
    int_fresh_outcomes.is_split_from_file
from {{ ref("int_fresh_outcomes") }} as int_fresh_outcomes
where int_fresh_outcomes.outcome in ('used', 'seen_only')
