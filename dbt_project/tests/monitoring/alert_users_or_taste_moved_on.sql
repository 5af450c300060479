{{ config(severity="warn") }}
-- A returned row: the version that serves was trained on other people, or other tastes, than it meets now.
select
    rpt_model_health.version,
    rpt_model_health.share_users_new,
    rpt_model_health.maker_shift
from {{ ref("rpt_model_health") }} as rpt_model_health
where
    rpt_model_health.is_active
    and (
        rpt_model_health.share_users_new > {{ var("alert_users_new") }}
        or rpt_model_health.maker_shift > {{ var("alert_maker_shift") }}
    )
