-- a reviewer linked to two users of the app is nobody's: never guessed
with links as (
    select
        {{ reviewer_key("stg_raw__user_links.reviewer_id") }} as reviewer_key,
        min('app:' || stg_raw__user_links.app_user_id) as app_key
    from {{ ref("stg_raw__user_links") }} as stg_raw__user_links
    group by 1
    having count(distinct stg_raw__user_links.app_user_id) = 1
)

select
    {{ user_number("links.reviewer_key") }} as reviewer_no,
    {{ user_number("links.app_key") }} as app_no,
    links.reviewer_key,
    {{ bytewise("links.app_key") }} as app_key
from links
where links.reviewer_key is not null
