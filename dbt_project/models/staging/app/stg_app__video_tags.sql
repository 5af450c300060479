with video_tags as (
    select * from {{ optional_relation("app", "video_tags") }}
),

tags as (
    select * from {{ optional_relation("app", "tags") }}
),

tag_groups as (
    select * from {{ optional_relation("app", "tag_groups") }}
)

select
    video_tags.video_id,
    tags.name as tag,
    coalesce(tag_groups.use_for_training, true) as is_for_training
from video_tags
inner join tags on video_tags.tag_id = tags.id
left join tag_groups on tags.tag_group_id = tag_groups.id
