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
    reviewers.user_no as reviewer_no,
    app_users.user_no as app_no,
    links.app_key
from links
inner join {{ ref("int_user_numbers") }} as reviewers on links.reviewer_key = reviewers.user_key
inner join {{ ref("int_user_numbers") }} as app_users on links.app_key = app_users.user_key
