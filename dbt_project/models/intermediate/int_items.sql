with named as (
    select
        int_item_numbers.item_no,
        int_item_numbers.may_be_bare,
        int_item_numbers.item,
        {{ trimmed("int_item_numbers.item") }} as address
    from {{ ref("int_item_numbers") }} as int_item_numbers
    where int_item_numbers.item_no > {{ numbers_given("item_no") }}
),

unwrapped as materialized (
    select
        named.item_no,
        named.may_be_bare,
        named.item,
        {{ unwrapped("named.address") }} as address
    from named
    where named.address != ''
),

-- in their order already: then the first that matches is the last that is tried
ordered as (
    select *
    from {{ ref("url_patterns") }}
    order by priority, site, pattern
    offset 0
),

matched as materialized (
    select
        unwrapped.item_no,
        unwrapped.may_be_bare,
        unwrapped.item,
        unwrapped.address,
        pattern.catalogue_source,
        coalesce(
            pattern.content_id,
            case when unwrapped.may_be_bare and strpos(unwrapped.address, '://') = 0 then unwrapped.address end
        ) as content_id
    from unwrapped
    left join lateral (
        select
            ordered.source as catalogue_source,
            (regexp_match(unwrapped.address, ordered.pattern, 'i'))[1] as content_id
        from ordered
        where unwrapped.address ~* ordered.pattern
        order by ordered.priority, ordered.site, ordered.pattern
        limit 1
    ) as pattern on true
),

decoded as materialized (
    select
        matched.item_no,
        matched.may_be_bare,
        matched.item,
        matched.address,
        matched.catalogue_source,
        nullif(lower({{ trimmed(percent_decoded("matched.content_id")) }}), '') as content_id
    from matched
),

split_up as materialized (
    select
        decoded.*,
        {{ content_id_parts("decoded.content_id") }} as parts
    from decoded
)

select
    split_up.item_no,
    split_up.may_be_bare,
    split_up.item,
    split_up.address,
    split_up.catalogue_source,
    split_up.content_id,
    case when split_up.may_be_bare then {{ as_uuid("split_up.address") }} end as video_id,
    {{ url_key("split_up.address") }} as url_key,
    {{ alias_key("split_up.parts", "alias_padding") }} as alias_padding,
    {{ alias_key("split_up.parts", "alias_prefix") }} as alias_prefix,
    {{ alias_key("split_up.parts", "alias_padding_prefix") }} as alias_padding_prefix
from split_up
