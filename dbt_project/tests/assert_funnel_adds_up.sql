-- A row returned is a source whose lines have more or fewer outcomes than lines, or a mart that is not what was used.
with last_load as (
    -- a file that is being loaded while dbt builds is the next build's
    select max(int_outcome_counts.load_id) as load_id
    from {{ ref("int_outcome_counts") }} as int_outcome_counts
),

lines as (
    select
        'review' as source,
        count(*) as n_rows
    from {{ ref("stg_raw__reviews") }} as stg_raw__reviews
    where stg_raw__reviews.load_id <= (select last_load.load_id from last_load)
    union all
    select
        'decision' as source,
        count(*) as n_rows
    from {{ ref("stg_raw__decisions") }} as stg_raw__decisions
    where stg_raw__decisions.load_id <= (select last_load.load_id from last_load)
    union all
    select
        'app' as source,
        count(*) as n_rows
    from {{ ref("stg_app__decisions") }}
),

mart as (
    select count(*) as n_rows
    from {{ ref("fct_interactions") }}
),

funnel as (
    select coalesce(sum(rpt_interaction_funnel.n_rows), 0) as n_rows
    from {{ ref("rpt_interaction_funnel") }} as rpt_interaction_funnel
    where rpt_interaction_funnel.outcome in ('used', 'seen_only')
),

outcomes as (
    select
        rpt_interaction_funnel.source,
        sum(rpt_interaction_funnel.n_rows) filter (where rpt_interaction_funnel.outcome != 'rejected_line') as n_rows
    from {{ ref("rpt_interaction_funnel") }} as rpt_interaction_funnel
    group by rpt_interaction_funnel.source
)

select
    lines.source,
    lines.n_rows as expected,
    outcomes.n_rows as found
from lines
left join outcomes on lines.source = outcomes.source
where lines.n_rows != coalesce(outcomes.n_rows, 0)
union all
select
    'the mart' as source,
    mart.n_rows as expected,
    funnel.n_rows as found
from mart
cross join funnel
where mart.n_rows != funnel.n_rows
