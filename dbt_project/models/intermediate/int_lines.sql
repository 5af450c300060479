-- depends_on: {{ ref("int_load_states") }}
-- depends_on: {{ ref("int_forgotten_users") }}
with reviews as (
    select
        'review' as source,
        stg_raw__reviews.load_id,
        stg_raw__reviews.line_number,
        {{ reviewer_key("stg_raw__reviews.reviewer_id") }} as user_key,
        int_item_numbers.item_no,
        {{ as_stars("stg_raw__reviews.stars") }} as stars,
        cast(null as text) as decision,
        {{ trimmed("stg_raw__reviews.happened_at") }} as happened_at,
        lower({{ trimmed("stg_raw__reviews.split") }}) as split
    from {{ ref("stg_raw__reviews") }} as stg_raw__reviews
    left join {{ ref("int_item_numbers") }} as int_item_numbers
        on stg_raw__reviews.item = int_item_numbers.item and not int_item_numbers.may_be_bare
    {{ where_unread("stg_raw__reviews", "review") }}
),

trimmed_decisions as (
    select
        stg_raw__decisions.load_id,
        stg_raw__decisions.line_number,
        {{ decider_key("stg_raw__decisions.reviewer_id", "stg_raw__decisions.user_id") }} as user_key,
        stg_raw__decisions.item,
        coalesce(
            nullif({{ trimmed("stg_raw__decisions.label") }}, ''),
            nullif({{ trimmed("stg_raw__decisions.decision") }}, '')
        ) as decision,
        {{ trimmed("stg_raw__decisions.happened_at") }} as happened_at,
        lower({{ trimmed("stg_raw__decisions.split") }}) as split
    from {{ ref("stg_raw__decisions") }} as stg_raw__decisions
    {{ where_unread("stg_raw__decisions", "decision") }}
),

decisions as (
    select
        'decision' as source,
        trimmed_decisions.load_id,
        trimmed_decisions.line_number,
        trimmed_decisions.user_key,
        int_item_numbers.item_no,
        cast(null as numeric) as stars,
        lower(trimmed_decisions.decision) as decision,
        trimmed_decisions.happened_at,
        trimmed_decisions.split
    from trimmed_decisions
    left join {{ ref("int_item_numbers") }} as int_item_numbers
        on trimmed_decisions.item = int_item_numbers.item and int_item_numbers.may_be_bare
),

lines as (
    select * from reviews
    union all
    select * from decisions
)

select
    lines.source,
    lines.load_id,
    lines.line_number,
    {{ user_number("lines.user_key") }} as user_no,
    {{ bytewise("lines.user_key") }} as user_key,
    lines.item_no,
    lines.stars,
    lines.decision,
    {{ as_time("lines.happened_at") }} as happened_at,
    lines.happened_at != '' as has_time,
    case
        when lines.split is null then null
        when lines.split in ('train', 'training') then 'train'
        when lines.split in ('val', 'valid', 'validation', 'dev') then 'val'
        when lines.split in ('test', 'testing') then 'test'
    end as split,
    lines.split != '' as has_split
from lines
