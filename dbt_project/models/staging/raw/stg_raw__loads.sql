with source as (
    select * from {{ optional_relation("raw", "loads") }}
)

select
    source.load_id,
    case source.kind when 'reviews' then 'review' when 'decisions' then 'decision' else source.kind end as source,
    source.file_name,
    source.n_rows,
    source.n_rejected,
    source.loaded_at
from source
