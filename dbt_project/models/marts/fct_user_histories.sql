with training as (
    select
        fct_interactions.user_key,
        fct_interactions.video_id,
        fct_interactions.label,
        row_number() over (
            partition by fct_interactions.user_key, fct_interactions.label
            order by fct_interactions.occurred_at desc nulls last, fct_interactions.video_id
        ) as recency
    from {{ ref("fct_interactions") }} as fct_interactions
    where fct_interactions.split = 'train'
),

histories as (
    select
        training.user_key,
        array_agg(training.video_id order by training.recency) filter (where training.label = 1) as liked_video_ids,
        array_agg(training.video_id order by training.recency) filter (where training.label = 0)
            as disliked_video_ids
    from training
    where training.recency <= {{ var("history_length") }}
    group by training.user_key
)

select
    dim_users.user_key,
    coalesce(histories.liked_video_ids, '{}') as liked_video_ids,
    coalesce(histories.disliked_video_ids, '{}') as disliked_video_ids
from {{ ref("dim_users") }} as dim_users
left join histories on dim_users.user_key = histories.user_key
