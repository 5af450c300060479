with counted as (
    select
        int_user_outcomes.source,
        int_user_outcomes.load_id,
        int_user_outcomes.outcome,
        sum(int_user_outcomes.n_rows) as n_rows,
        min(int_user_outcomes.first_line) as first_line
    from {{ ref("int_user_outcomes") }} as int_user_outcomes
    group by int_user_outcomes.source, int_user_outcomes.load_id, int_user_outcomes.outcome
)

select
    counted.source,
    nullif(counted.load_id, 0) as load_id,
    counted.outcome,
    cast(counted.n_rows as bigint) as n_rows,
    counted.first_line >> 32 as line_number,
    cast(nullif(counted.first_line & 4294967295, 0) as integer) as item_no
from counted
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
