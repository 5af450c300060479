with source as (
    select * from {{ optional_relation("recsys", "experiment_arms") }}
)

select
    source.experiment,
    source.arm,
    source.model_version as version,
    source.user_share
from source
