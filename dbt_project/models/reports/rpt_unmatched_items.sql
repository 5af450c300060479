with unmatched_items as (
    select int_item_videos.item_no
    from {{ ref("int_item_videos") }} as int_item_videos
    where int_item_videos.fault is not null
),

unmatched as (
    select
        matched_lines.source,
        matched_lines.fault as outcome,
        matched_lines.item_no,
        count(*) as n_rows
    from (
        {{ matched_lines(items="select unmatched_items.item_no from unmatched_items") }}
    ) as matched_lines
    -- a line may have a fault that comes before its item's
    where matched_lines.fault in ('no_content_id', 'unknown_video', 'ambiguous')
    group by matched_lines.source, matched_lines.fault, matched_lines.item_no
)

select
    unmatched.source,
    unmatched.outcome,
    md5(int_items.item) as item_key,
    unmatched.n_rows,
    int_items.item,
    int_items.content_id,
    case unmatched.outcome
        when 'no_content_id' then 'add a line for this URL shape to dbt_project/seeds/url_patterns.csv'
        when 'unknown_video' then 'load these videos, or build with --vars ''{register_unknown_videos: true}'''
        when 'ambiguous' then 'several videos fit; give them distinct external_ids or narrow the var cid_aliases'
    end as remedy
from unmatched
inner join {{ ref("int_items") }} as int_items on unmatched.item_no = int_items.item_no
