with video_names as (
    select
        stg_app__video_tags.video_id,
        stg_app__video_tags.tag as name,
        0 as is_maker
    from {{ ref("stg_app__video_tags") }} as stg_app__video_tags
    where stg_app__video_tags.is_for_training
    union
    select
        int_catalogue.video_id,
        int_catalogue.maker as name,
        1 as is_maker
    from {{ ref("int_catalogue") }} as int_catalogue
    where int_catalogue.maker != ''
)

select
    video_names.video_id,
    int_traits.trait_no
from video_names
inner join {{ ref("int_traits") }} as int_traits
    on video_names.name = int_traits.name and video_names.is_maker = int_traits.is_maker
