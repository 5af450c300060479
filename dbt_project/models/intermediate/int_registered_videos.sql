with unknown as (
    select
        int_items.content_id,
        int_items.catalogue_source,
        min(int_items.address) as product_url
    from {{ ref("int_item_matches") }} as int_item_matches
    inner join {{ ref("int_items") }} as int_items on int_item_matches.item_no = int_items.item_no
    where
        int_item_matches.fault = 'unknown_video'
        and {{ var("register_unknown_videos") }}
        -- an item that no line names any more is nobody's wish
        and int_item_matches.item_no in (select int_lines.item_no from {{ ref("int_lines") }} as int_lines)
    group by int_items.content_id, int_items.catalogue_source
),

-- external ids are unique in the catalogue: of one id in two shops only the first can be registered
numbered as (
    select
        unknown.*,
        row_number() over (
            partition by unknown.content_id order by unknown.catalogue_source nulls first
        ) as claim
    from unknown
    left join {{ ref("int_videos") }} as int_videos on unknown.content_id = int_videos.external_key
    where int_videos.video_id is null
)

select
    {{ stub_id("numbered.content_id", "numbered.catalogue_source") }} as video_id,
    numbered.content_id,
    numbered.catalogue_source,
    case when strpos(numbered.product_url, '://') > 0 then numbered.product_url end as product_url
from numbered
where numbered.claim = 1
