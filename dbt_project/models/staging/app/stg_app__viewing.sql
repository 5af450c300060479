with video_views as (
    select * from {{ optional_relation("app", "video_views") }}
)

select
    video_views.user_id as app_user_id,
    video_views.watched_seconds
from video_views
