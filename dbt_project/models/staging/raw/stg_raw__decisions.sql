with source as (
    select * from {{ optional_relation("raw", "decisions") }}
)

select
    source.load_id,
    source.line_number,
    source.reviewer_id,
    source.user_id,
    source.item,
    source.decision,
    source.label,
    source.decided_at as happened_at,
    source.split
from source
