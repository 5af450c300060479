with traits as (
    select
        stg_app__video_tags.tag as name,
        0 as is_maker
    from {{ ref("stg_app__video_tags") }} as stg_app__video_tags
    where stg_app__video_tags.is_for_training
    union
    select
        int_catalogue.maker as name,
        1 as is_maker
    from {{ ref("int_catalogue") }} as int_catalogue
    where int_catalogue.maker != ''
)

select
    -- in the order of the names; even numbers are tags, odd ones makers
    2 * row_number() over (order by {{ bytewise("traits.name") }}, traits.is_maker) + traits.is_maker as trait_no,
    traits.is_maker,
    traits.name
from traits
