with videos as (
    select
        stg_app__videos.video_id,
        stg_app__videos.catalogue_source,
        stg_app__videos.external_id,
        stg_app__videos.product_url,
        lower({{ trimmed("stg_app__videos.external_id") }}) as external_key,
        {{ trimmed("stg_app__videos.product_url") }} as address
    from {{ ref("stg_app__videos") }} as stg_app__videos
    {{ except_kept_videos("stg_app__videos") }}
),

unwrapped as materialized (
    select
        videos.video_id,
        videos.catalogue_source,
        videos.external_id,
        videos.product_url,
        nullif(videos.external_key, '') as external_key,
        {{ unwrapped("videos.address") }} as address,
        {{ content_id_parts("videos.external_key") }} as parts
    from videos
)

select
    unwrapped.video_id,
    unwrapped.catalogue_source,
    unwrapped.external_id,
    unwrapped.product_url,
    unwrapped.external_key,
    {{ url_key("unwrapped.address") }} as url_key,
    {{ alias_key("unwrapped.parts", "alias_padding") }} as alias_padding,
    {{ alias_key("unwrapped.parts", "alias_prefix") }} as alias_prefix,
    {{ alias_key("unwrapped.parts", "alias_padding_prefix") }} as alias_padding_prefix,
    -- what the split's hash knows a video by: the same on every machine, where the uuid is not
    coalesce(nullif(unwrapped.external_key, ''), cast(unwrapped.video_id as text)) as video_key
from unwrapped
