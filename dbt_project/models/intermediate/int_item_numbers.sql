-- depends_on: {{ ref("int_load_states") }}
-- materialized: what follows is asked of each item once, not of each line
with written as materialized (
    select distinct
        false as may_be_bare,
        stg_raw__reviews.item
    from {{ ref("stg_raw__reviews") }} as stg_raw__reviews
    {{ where_unread("stg_raw__reviews", "review") }}
    union all
    select distinct
        true as may_be_bare,
        stg_raw__decisions.item
    from {{ ref("stg_raw__decisions") }} as stg_raw__decisions
    {{ where_unread("stg_raw__decisions", "decision") }}
),

new_items as (
    select
        written.may_be_bare,
        written.item
    from written
    {{ except_numbered("written", ["item", "may_be_bare"]) }}
)

select
    cast(
        {{ numbers_given("item_no") }}
        + row_number() over (order by new_items.may_be_bare, {{ bytewise("new_items.item") }}) as integer
    ) as item_no,
    new_items.may_be_bare,
    new_items.item
from new_items
where new_items.item is not null and {{ trimmed("new_items.item") }} != ''
