with source as (
    select * from {{ optional_relation("raw", "rejected_lines") }}
)

select
    source.load_id,
    source.line_number,
    source.content,
    source.reason
from source
