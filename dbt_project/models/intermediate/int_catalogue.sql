with training_tags as (
    select
        stg_app__video_tags.video_id,
        -- a sum: no order to sort by
        sum(hashtextextended(stg_app__video_tags.tag, 0)) as fingerprint
    from {{ ref("stg_app__video_tags") }} as stg_app__video_tags
    where stg_app__video_tags.is_for_training
    group by stg_app__video_tags.video_id
),

videos as (
    select
        stg_app__videos.video_id,
        stg_app__videos.external_id,
        stg_app__videos.product_url,
        stg_app__videos.title,
        stg_app__videos.description,
        stg_app__videos.maker,
        stg_app__videos.label,
        stg_app__videos.series,
        stg_app__videos.director,
        stg_app__videos.genre,
        stg_app__videos.price,
        stg_app__videos.duration_seconds,
        stg_app__videos.released_on,
        int_videos.video_key
    from {{ ref("stg_app__videos") }} as stg_app__videos
    inner join {{ ref("int_videos") }} as int_videos on stg_app__videos.video_id = int_videos.video_id
    union all
    select
        int_registered_videos.video_id,
        int_registered_videos.content_id as external_id,
        int_registered_videos.product_url,
        int_registered_videos.content_id as title,
        cast(null as text) as description,
        cast(null as text) as maker,
        cast(null as text) as label,
        cast(null as text) as series,
        cast(null as text) as director,
        cast(null as text) as genre,
        cast(null as numeric) as price,
        cast(null as integer) as duration_seconds,
        cast(null as date) as released_on,
        int_registered_videos.content_id as video_key
    from {{ ref("int_registered_videos") }} as int_registered_videos
)

select
    videos.*,
    -- what of a video can change what is said of its users
    hashtextextended(
        concat_ws('|', videos.video_key, videos.price, training_tags.fingerprint, videos.maker), 0
    ) as fingerprint
from videos
left join training_tags on videos.video_id = training_tags.video_id
