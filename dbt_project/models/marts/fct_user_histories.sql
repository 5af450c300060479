with training as (
    select * from {{ ref("int_user_training") }}
),

suspicious_users as (
    select int_suspicious_users.*
    from {{ ref("int_suspicious_users") }} as int_suspicious_users
    where true {{ and_has_changed("int_suspicious_users.user_no") }}
)

select
    -- everybody in dim_users, which waits for what users prefer
    coalesce(training.user_key, suspicious_users.user_key) as user_key,
    coalesce(training.liked_video_ids[1:{{ var("history_length") }}], '{}') as liked_video_ids,
    coalesce(training.disliked_video_ids[1:{{ var("history_length") }}], '{}') as disliked_video_ids
from training
full join suspicious_users on training.user_no = suspicious_users.user_no
