{{ config(severity="warn") }}
-- A returned row: the share of a source's lines that reach the mart is under var alert_used_share, or over var
-- alert_used_share_most.
with kept as (
    select
        funnel.source,
        coalesce(
            sum(funnel.share) filter (
                where funnel.outcome in ('used', 'seen_only', 'duplicate', 'overridden', 'skip')
            ), 0
        ) as kept_share
    from {{ ref("rpt_interaction_funnel") }} as funnel
    group by funnel.source
)

select
    kept.source,
    kept.kept_share
from kept
where
    kept.kept_share < {{ var("alert_used_share") }}
    -- shares are rounded: all of a source's lines may add up to a little more than 1
    or kept.kept_share > {{ var("alert_used_share_most") }} + 0.001
