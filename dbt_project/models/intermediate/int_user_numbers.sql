-- depends_on: {{ ref("int_load_states") }}
-- materialized: keys are made of each id once, not of each line
with reviewers as materialized (
    select distinct stg_raw__reviews.reviewer_id
    from {{ ref("stg_raw__reviews") }} as stg_raw__reviews
    {{ where_unread("stg_raw__reviews", "review") }}
),

deciders as materialized (
    select distinct
        stg_raw__decisions.reviewer_id,
        stg_raw__decisions.user_id
    from {{ ref("stg_raw__decisions") }} as stg_raw__decisions
    {{ where_unread("stg_raw__decisions", "decision") }}
),

user_keys as (
    select {{ reviewer_key("reviewers.reviewer_id") }} as user_key
    from reviewers
    union
    select {{ decider_key("deciders.reviewer_id", "deciders.user_id") }} as user_key
    from deciders
    union
    select 'app:' || stg_app__decisions.user_id as user_key
    from {{ ref("stg_app__decisions") }} as stg_app__decisions
    union
    select 'app:' || stg_raw__user_links.app_user_id as user_key
    from {{ ref("stg_raw__user_links") }} as stg_raw__user_links
),

new_users as (
    select user_keys.user_key
    from user_keys
    {{ except_numbered("user_keys", ["user_key"]) }}
)

select
    cast({{ numbers_given("user_no") }} + row_number() over (order by {{ bytewise("new_users.user_key") }}) as integer)
        as user_no,
    {{ bytewise("new_users.user_key") }} as user_key
from new_users
where new_users.user_key is not null
