with outcomes as (
    select
        int_line_outcomes.source,
        int_line_outcomes.outcome,
        count(*) as n_rows,
        min(int_items.item) as example
    from {{ ref("int_line_outcomes") }} as int_line_outcomes
    left join {{ ref("int_items") }} as int_items on int_line_outcomes.item_no = int_items.item_no
    group by int_line_outcomes.source, int_line_outcomes.outcome
    union all
    select
        stg_raw__loads.source,
        'rejected_line' as outcome,
        count(*) as n_rows,
        min(stg_raw__rejected_lines.reason || ': ' || left(stg_raw__rejected_lines.content, 200)) as example
    from {{ ref("stg_raw__rejected_lines") }} as stg_raw__rejected_lines
    inner join {{ ref("stg_raw__loads") }} as stg_raw__loads
        on stg_raw__rejected_lines.load_id = stg_raw__loads.load_id
    where stg_raw__loads.source in ('review', 'decision')
    group by stg_raw__loads.source
)

select
    outcomes.source,
    outcomes.outcome,
    cast(outcomes.n_rows as bigint) as n_rows,
    cast(outcomes.n_rows / sum(outcomes.n_rows) over (partition by outcomes.source) as double precision) as share,
    outcomes.example
from outcomes
