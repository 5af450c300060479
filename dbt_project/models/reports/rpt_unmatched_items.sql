with unmatched as (
    select
        int_matched_lines.source,
        int_matched_lines.fault as outcome,
        int_matched_lines.item_no,
        count(*) as n_rows
    from {{ ref("int_matched_lines") }} as int_matched_lines
    where
        int_matched_lines.fault in ('no_content_id', 'unknown_video', 'ambiguous')
        and int_matched_lines.item_no is not null
    group by int_matched_lines.source, int_matched_lines.fault, int_matched_lines.item_no
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
