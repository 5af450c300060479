-- A row returned is a video whose counts or popularity know something that is not in the training split.
with training as (
    select
        fct_interactions.video_id,
        count(*) filter (where fct_interactions.label = 1) as n_likes,
        count(*) filter (where fct_interactions.label = 0) as n_dislikes
    from {{ ref("fct_interactions") }} as fct_interactions
    where fct_interactions.split = 'train'
    group by fct_interactions.video_id
)

select dim_videos.video_id
from {{ ref("dim_videos") }} as dim_videos
left join training on dim_videos.video_id = training.video_id
where
    dim_videos.n_likes != coalesce(training.n_likes, 0)
    or dim_videos.n_dislikes != coalesce(training.n_dislikes, 0)
    or (dim_videos.popularity > 0) != (dim_videos.n_likes > 0)
