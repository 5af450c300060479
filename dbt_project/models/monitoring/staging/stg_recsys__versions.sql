with source as (
    select * from {{ optional_relation("recsys", "embedding_model_versions") }}
)

select
    source.version,
    source.status,
    source.is_active,
    source.embedding_dim,
    source.created_at,
    source.promoted_at
from source
