with source as (
    select * from {{ optional_relation("raw", "user_links") }}
)

select
    source.reviewer_id,
    source.user_id as app_user_id
from source
