with source as (
    select * from {{ optional_relation("recsys", "served_calls") }}
)

select
    source.function_name,
    source.milliseconds,
    source.called_at,
    source.model_version as version
from source
