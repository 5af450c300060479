select
    int_line_outcomes.source,
    int_line_outcomes.load_id,
    int_line_outcomes.outcome,
    count(*) as n_rows,
    min(int_line_outcomes.line_number) as line_number,
    -- the item of that first line: line and item in one number, the line above
    cast(
        min((int_line_outcomes.line_number << 32) + int_line_outcomes.item_no) & 4294967295 as integer
    ) as item_no
from {{ ref("int_line_outcomes") }} as int_line_outcomes
group by int_line_outcomes.source, int_line_outcomes.load_id, int_line_outcomes.outcome
union all
select
    stg_raw__loads.source,
    stg_raw__rejected_lines.load_id,
    'rejected_line' as outcome,
    count(*) as n_rows,
    min(stg_raw__rejected_lines.line_number) as line_number,
    cast(null as integer) as item_no
from {{ ref("stg_raw__rejected_lines") }} as stg_raw__rejected_lines
inner join {{ ref("stg_raw__loads") }} as stg_raw__loads
    on stg_raw__rejected_lines.load_id = stg_raw__loads.load_id
where stg_raw__loads.source in ('review', 'decision')
group by stg_raw__loads.source, stg_raw__rejected_lines.load_id
