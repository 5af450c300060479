with source as (
    select * from {{ optional_relation("recsys", "impressions") }}
)

select
    source.id as impression_id,
    source.user_id as app_user_id,
    source.video_id,
    source.rank,
    source.score,
    source.model_version as version,
    source.experiment,
    source.arm,
    source.propensity,
    source.surface,
    source.waited_ms,
    source.shown_at
from source
