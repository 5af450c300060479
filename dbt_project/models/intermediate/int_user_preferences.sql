with likes as (
    select
        fct_interactions.user_key,
        fct_interactions.video_id
    from {{ ref("fct_interactions") }} as fct_interactions
    where fct_interactions.split = 'train' and fct_interactions.label = 1
),

traits as (
    select distinct
        stg_app__video_tags.video_id,
        'tag' as trait,
        stg_app__video_tags.tag as name
    from {{ ref("stg_app__video_tags") }} as stg_app__video_tags
    where stg_app__video_tags.is_for_training
    union all
    select
        int_catalogue.video_id,
        'maker' as trait,
        int_catalogue.maker as name
    from {{ ref("int_catalogue") }} as int_catalogue
    where int_catalogue.maker != ''
),

counted as (
    select
        likes.user_key,
        traits.trait,
        traits.name,
        row_number() over (
            partition by likes.user_key, traits.trait order by count(*) desc, traits.name
        ) as preference
    from likes
    inner join traits on likes.video_id = traits.video_id
    group by likes.user_key, traits.trait, traits.name
)

select
    counted.user_key,
    array_agg(counted.name order by counted.preference) filter (where counted.trait = 'tag') as preferred_tags,
    array_agg(counted.name order by counted.preference) filter (where counted.trait = 'maker') as preferred_makers
from counted
where counted.preference <= 3
group by counted.user_key
