{{ config(severity="warn") }}
-- A returned row: the version that serves has not been replaced for var alert_model_age_days.
select
    rpt_model_health.version,
    rpt_model_health.age_days
from {{ ref("rpt_model_health") }} as rpt_model_health
where rpt_model_health.is_active and rpt_model_health.age_days > {{ var("alert_model_age_days") }}
