select
    int_fresh_outcomes.user_no,
    int_fresh_outcomes.source,
    coalesce(int_fresh_outcomes.load_id, 0) as load_id,
    int_fresh_outcomes.outcome,
    count(*) as n_rows,
    -- the first such line and its item in one number
    min((int_fresh_outcomes.line_number << 32) + coalesce(int_fresh_outcomes.item_no, 0)) as first_line
from {{ ref("int_fresh_outcomes") }} as int_fresh_outcomes
group by
    int_fresh_outcomes.user_no,
    int_fresh_outcomes.source,
    int_fresh_outcomes.load_id,
    int_fresh_outcomes.outcome
