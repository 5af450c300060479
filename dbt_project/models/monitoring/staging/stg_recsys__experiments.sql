with source as (
    select * from {{ optional_relation("recsys", "experiments") }}
)

select
    source.experiment,
    source.is_running,
    source.started_at,
    source.stopped_at
from source
