with source as (
    select * from {{ optional_relation("raw", "reviews") }}
)

select
    source.load_id,
    source.line_number,
    source.reviewer_id,
    source.product_url as item,
    source.stars,
    source.reviewed_at as happened_at,
    source.split
from source
