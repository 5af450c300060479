with interactions as (
    select
        fct_interactions.video_id,
        count(*) as n_users
    from {{ ref("fct_interactions") }} as fct_interactions
    group by fct_interactions.video_id
)

select
    coalesce(dim_videos.maker, '') as maker,
    count(*) as n_videos,
    count(interactions.video_id) as n_with_interactions,
    count(*) filter (where dim_videos.n_likes > 0) as n_with_training_likes,
    count(*) filter (where dim_videos.n_likes >= 5) as n_with_5_training_likes,
    count(*) filter (where cardinality(dim_videos.tags) > 0) as n_with_tags,
    count(*) filter (where cardinality(dim_videos.performers) > 0) as n_with_performers,
    cast(coalesce(sum(interactions.n_users), 0) as bigint) as n_interactions
from {{ ref("dim_videos") }} as dim_videos
left join interactions on dim_videos.video_id = interactions.video_id
group by coalesce(dim_videos.maker, '')
