with counts as (
    select
        int_outcome_counts.source,
        int_outcome_counts.outcome,
        int_outcome_counts.n_rows,
        -- where the item is the trouble, the item; else the place to look at
        coalesce(
            case
                when int_outcome_counts.outcome in ('no_content_id', 'unknown_video', 'ambiguous')
                    then left(items.item, 500)
            end,
            loads.file_name || ', line ' || int_outcome_counts.line_number
        ) as example,
        row_number() over (
            partition by int_outcome_counts.source, int_outcome_counts.outcome
            order by int_outcome_counts.load_id desc nulls last
        ) as age
    from {{ ref("int_outcome_counts") }} as int_outcome_counts
    left join {{ ref("int_items") }} as items on int_outcome_counts.item_no = items.item_no
    left join {{ ref("stg_raw__loads") }} as loads on int_outcome_counts.load_id = loads.load_id
),

outcomes as (
    select
        counts.source,
        counts.outcome,
        sum(counts.n_rows) as n_rows,
        min(counts.example) filter (where counts.age = 1) as example
    from counts
    group by counts.source, counts.outcome
)

select
    outcomes.source,
    outcomes.outcome,
    cast(outcomes.n_rows as bigint) as n_rows,
    cast(outcomes.n_rows / sum(outcomes.n_rows) over (partition by outcomes.source) as double precision) as share,
    outcomes.example
from outcomes
