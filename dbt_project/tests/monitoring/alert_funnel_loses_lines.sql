{{ config(severity="warn") }}
-- A returned row: fewer of a source's lines than var alert_used_share reach the mart.
select
    funnel.source,
    sum(funnel.share) filter (where funnel.outcome in ('used', 'seen_only', 'duplicate', 'overridden', 'skip'))
        as kept_share
from {{ ref("rpt_interaction_funnel") }} as funnel
group by funnel.source
having
    coalesce(
        sum(funnel.share) filter (where funnel.outcome in ('used', 'seen_only', 'duplicate', 'overridden', 'skip')), 0
    ) < {{ var("alert_used_share") }}
