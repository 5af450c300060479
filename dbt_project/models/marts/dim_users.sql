-- what describes a user is taken from the training split alone: the rest is what a model is tested on
with training as (
    select
        int_user_training.*,
        coalesce(cardinality(int_user_training.liked_video_ids), 0) as n_likes,
        coalesce(cardinality(int_user_training.disliked_video_ids), 0) as n_dislikes
    from {{ ref("int_user_training") }} as int_user_training
),

suspicious_users as (
    select int_suspicious_users.*
    from {{ ref("int_suspicious_users") }} as int_suspicious_users
    where true {{ and_has_changed("int_suspicious_users.user_no") }}
),

users as (
    select
        coalesce(training.user_no, suspicious_users.user_no) as user_no,
        coalesce(training.user_key, suspicious_users.user_key) as user_key,
        coalesce(training.n_likes, 0) as n_likes,
        coalesce(training.n_dislikes, 0) as n_dislikes,
        training.first_at,
        training.last_at,
        cast(training.price_preference as real) as price_preference,
        suspicious_users.user_no is not null as is_suspicious,
        suspicious_users.suspicion_reason
    from training
    full join suspicious_users on training.user_no = suspicious_users.user_no
)

select
    users.user_key,
    split_part(users.user_key, ':', 1) as kind,
    case
        when starts_with(users.user_key, 'app:') then cast(substr(users.user_key, 5) as uuid)
    end as app_user_id,
    users.n_likes,
    users.n_dislikes,
    users.first_at,
    users.last_at,
    coalesce(int_user_preferences.preferred_tags, '{}') as preferred_tags,
    coalesce(int_user_preferences.preferred_makers, '{}') as preferred_makers,
    users.price_preference,
    -- training rows per week between the first and the last of them, one week at least
    cast(
        (users.n_likes + users.n_dislikes)
        / greatest(coalesce(date_part('epoch', users.last_at - users.first_at) / 604800, 1), 1) as real
    ) as activity,
    users.is_suspicious,
    users.suspicion_reason,
    int_app_usage.view_time_avg,
    int_app_usage.session_frequency
from users
left join {{ ref("int_user_preferences") }} as int_user_preferences
    on users.user_no = int_user_preferences.user_no
left join {{ ref("int_app_usage") }} as int_app_usage
    on users.user_key = 'app:' || int_app_usage.app_user_id
