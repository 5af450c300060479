with training as (
    select * from {{ ref("int_user_training") }}
)

select
    dim_users.user_key,
    coalesce(training.liked_video_ids[1:{{ var("history_length") }}], '{}') as liked_video_ids,
    coalesce(training.disliked_video_ids[1:{{ var("history_length") }}], '{}') as disliked_video_ids
from {{ ref("dim_users") }} as dim_users
left join training on dim_users.user_key = training.user_key
where true {{ and_has_changed("dim_users.user_key", key="user_key") }}
