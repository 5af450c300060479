{%- for half in (1, 2) %}
    select
        outcomes.source,
        outcomes.load_id,
        outcomes.line_number,
        outcomes.user_no,
        outcomes.user_key,
        outcomes.item_no,
        outcomes.video_id,
        outcomes.match_rule,
        outcomes.label,
        outcomes.occurred_at,
        outcomes.outcome,
        outcomes.split,
        outcomes.is_split_from_file
    from {{ ref("int_fresh_outcomes_" ~ half) }} as outcomes
    {{ "union all" if not loop.last }}
{%- endfor %}
