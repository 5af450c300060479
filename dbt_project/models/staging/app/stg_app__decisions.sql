with decisions as (
    select * from {{ optional_relation("app", "user_video_decisions") }}
),

likes as (
    select * from {{ optional_relation("app", "likes") }}
)

select
    'user_video_decisions' as app_table,
    decisions.user_id,
    decisions.video_id,
    decisions.decision_type as decision,
    decisions.created_at as happened_at
from decisions
union all
select
    'likes' as app_table,
    likes.user_id,
    likes.video_id,
    'like' as decision,
    likes.created_at as happened_at
from likes
