with videos as (
    select * from {{ ref("int_catalogue") }}
),

tags as (
    select
        stg_app__video_tags.video_id,
        array_agg(distinct stg_app__video_tags.tag order by stg_app__video_tags.tag) as tags
    from {{ ref("stg_app__video_tags") }} as stg_app__video_tags
    where stg_app__video_tags.is_for_training
    group by stg_app__video_tags.video_id
),

performers as (
    select
        stg_app__video_performers.video_id,
        array_agg(distinct stg_app__video_performers.performer order by stg_app__video_performers.performer)
            as performers
    from {{ ref("stg_app__video_performers") }} as stg_app__video_performers
    group by stg_app__video_performers.video_id
),

training as (
    select
        fct_interactions.video_id,
        cast(count(*) filter (where fct_interactions.label = 1) as integer) as n_likes,
        cast(count(*) filter (where fct_interactions.label = 0) as integer) as n_dislikes
    from {{ ref("fct_interactions") }} as fct_interactions
    where fct_interactions.split = 'train'
    group by fct_interactions.video_id
),

most_liked as (
    select max(training.n_likes) as n_likes from training
)

select
    videos.video_id,
    videos.external_id,
    videos.product_url,
    videos.title,
    videos.description,
    videos.maker,
    videos.label,
    videos.series,
    videos.director,
    videos.genre,
    videos.price,
    videos.duration_seconds,
    videos.released_on,
    coalesce(tags.tags, '{}') as tags,
    coalesce(performers.performers, '{}') as performers,
    coalesce(training.n_likes, 0) as n_likes,
    coalesce(training.n_dislikes, 0) as n_dislikes,
    cast(
        coalesce(
            ln(1 + cast(training.n_likes as double precision))
            / nullif(ln(1 + cast(most_liked.n_likes as double precision)), 0), 0
        ) as real
    ) as popularity
from videos
cross join most_liked
left join tags on videos.video_id = tags.video_id
left join performers on videos.video_id = performers.video_id
left join training on videos.video_id = training.video_id
