{{ config(severity="warn") }}
-- A returned row: more videos or users than var alert_without_vector have no vector of the version that serves.
select
    rpt_model_health.version,
    rpt_model_health.share_videos_without_vector,
    rpt_model_health.share_users_without_vector
from {{ ref("rpt_model_health") }} as rpt_model_health
where
    rpt_model_health.is_active
    and greatest(rpt_model_health.share_videos_without_vector, rpt_model_health.share_users_without_vector)
    > {{ var("alert_without_vector") }}
