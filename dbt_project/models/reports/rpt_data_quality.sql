with loads as (
    select
        stg_raw__loads.load_id,
        cast(stg_raw__loads.loaded_at at time zone 'UTC' as date) as day
    from {{ ref("stg_raw__loads") }} as stg_raw__loads
),

outcomes as (
    select
        int_outcome_counts.source,
        int_outcome_counts.load_id,
        sum(int_outcome_counts.n_rows) as n_lines,
        sum(int_outcome_counts.n_rows) filter (where int_outcome_counts.outcome = 'rejected_line') as n_rejected,
        sum(int_outcome_counts.n_rows) filter (where int_outcome_counts.outcome = 'used') as n_used,
        sum(int_outcome_counts.n_rows) filter (where int_outcome_counts.outcome = 'seen_only') as n_seen_only,
        sum(int_outcome_counts.n_rows) filter (where int_outcome_counts.outcome in ('duplicate', 'overridden'))
            as n_superseded
    from {{ ref("int_outcome_counts") }} as int_outcome_counts
    group by int_outcome_counts.source, int_outcome_counts.load_id
),

faults as (
    select
        int_lines.source,
        int_lines.load_id,
        count(*) filter (where int_lines.has_time and int_lines.happened_at is null) as n_unreadable_times,
        count(*) filter (where int_lines.happened_at > now()) as n_future_times,
        count(*) filter (where int_lines.has_split and int_lines.split is null) as n_unreadable_splits
    from {{ ref("int_lines") }} as int_lines
    group by int_lines.source, int_lines.load_id
)

select
    outcomes.source,
    coalesce(loads.day, cast(now() at time zone 'UTC' as date)) as day,
    cast(sum(outcomes.n_lines) as bigint) as n_lines,
    cast(coalesce(sum(outcomes.n_rejected), 0) as bigint) as n_rejected,
    cast(coalesce(sum(outcomes.n_used), 0) as bigint) as n_used,
    cast(coalesce(sum(outcomes.n_seen_only), 0) as bigint) as n_seen_only,
    cast(coalesce(sum(outcomes.n_superseded), 0) as bigint) as n_superseded,
    cast(coalesce(sum(faults.n_unreadable_times), 0) as bigint) as n_unreadable_times,
    cast(coalesce(sum(faults.n_future_times), 0) as bigint) as n_future_times,
    cast(coalesce(sum(faults.n_unreadable_splits), 0) as bigint) as n_unreadable_splits
from outcomes
left join loads on outcomes.load_id = loads.load_id
left join faults on outcomes.source = faults.source and outcomes.load_id = faults.load_id
group by outcomes.source, coalesce(loads.day, cast(now() at time zone 'UTC' as date))
