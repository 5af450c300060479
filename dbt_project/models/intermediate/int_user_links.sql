-- a reviewer linked to two users of the app is nobody's: never guessed
select
    'review:' || {{ trimmed("stg_raw__user_links.reviewer_id") }} as reviewer_key,
    min('app:' || stg_raw__user_links.app_user_id) as app_key
from {{ ref("stg_raw__user_links") }} as stg_raw__user_links
group by 1
having count(distinct stg_raw__user_links.app_user_id) = 1
