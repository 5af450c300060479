with source as (
    select * from {{ optional_relation("app", "videos") }}
)

select
    source.id as video_id,
    source.external_id,
    source.product_url,
    source.title,
    source.description,
    source.maker,
    source.label,
    source.series,
    source.director,
    source.genre,
    source.price,
    source.duration_seconds,
    cast(source.product_released_at at time zone 'UTC' as date) as released_on,
    source.source as catalogue_source,
    source.created_at
from source
