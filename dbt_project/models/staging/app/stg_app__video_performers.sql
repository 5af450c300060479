with video_performers as (
    select * from {{ optional_relation("app", "video_performers") }}
),

performers as (
    select * from {{ optional_relation("app", "performers") }}
)

select
    video_performers.video_id,
    performers.name as performer
from video_performers
inner join performers on video_performers.performer_id = performers.id
