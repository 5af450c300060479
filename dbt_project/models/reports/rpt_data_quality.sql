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
        int_load_users.source,
        int_load_users.load_id,
        sum(int_load_users.n_unreadable_times) as n_unreadable_times,
        sum(int_load_users.n_unreadable_splits) as n_unreadable_splits,
        max(int_load_users.newest_at) as newest_at
    from {{ ref("int_load_users") }} as int_load_users
    group by int_load_users.source, int_load_users.load_id
),

-- mostly no file has a time to come, and no line is looked at
times_to_come as (
    select
        int_lines.source,
        int_lines.load_id,
        count(*) as n_future_times
    from {{ ref("int_lines") }} as int_lines
    where
        int_lines.happened_at > now()
        and exists (
            select 1
            from faults
            where faults.newest_at > now()
        )
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
    cast(coalesce(sum(times_to_come.n_future_times), 0) as bigint) as n_future_times,
    cast(coalesce(sum(faults.n_unreadable_splits), 0) as bigint) as n_unreadable_splits
from outcomes
left join loads on outcomes.load_id = loads.load_id
left join faults on outcomes.source = faults.source and outcomes.load_id = faults.load_id
left join times_to_come on outcomes.source = times_to_come.source and outcomes.load_id = times_to_come.load_id
group by outcomes.source, coalesce(loads.day, cast(now() at time zone 'UTC' as date))
