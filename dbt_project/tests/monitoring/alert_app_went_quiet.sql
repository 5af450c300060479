{{ config(severity="warn") }}
-- A returned row: the app has decisions, and none newer than var alert_newest_interaction_days.
select max(decisions.happened_at) as newest_at
from {{ ref("stg_app__decisions") }} as decisions
having max(decisions.happened_at) < now() - make_interval(days => {{ var("alert_newest_interaction_days") }})
