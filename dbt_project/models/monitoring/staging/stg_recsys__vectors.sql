-- who has a vector, counted by key; the vectors themselves are none of dbt's business
with video_embeddings as (
    select * from {{ optional_relation("recsys", "video_embeddings") }}
),

user_embeddings as (
    select * from {{ optional_relation("recsys", "user_embeddings") }}
)

select
    video_embeddings.model_version as version,
    video_embeddings.video_id,
    cast(null as text) as user_key
from video_embeddings
union all
select
    user_embeddings.model_version as version,
    cast(null as uuid) as video_id,
    user_embeddings.user_key
from user_embeddings
