-- a reviewer linked to two users of the app is nobody's: never guessed
select
    {{ trimmed("stg_raw__user_links.reviewer_id") }} as reviewer_id,
    cast(min(cast(stg_raw__user_links.app_user_id as text)) as uuid) as app_user_id
from {{ ref("stg_raw__user_links") }} as stg_raw__user_links
group by 1
having count(distinct stg_raw__user_links.app_user_id) = 1
