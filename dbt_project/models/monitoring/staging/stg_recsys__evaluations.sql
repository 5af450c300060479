with source as (
    select * from {{ optional_relation("recsys", "evaluations") }}
)

select
    source.model_version as version,
    source.model_name,
    source.split,
    source.slice,
    source.metric,
    source.value
from source
