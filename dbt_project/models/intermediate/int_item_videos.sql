select
    int_items.item_no,
    coalesce(int_item_matches.video_id, int_registered_videos.video_id) as video_id,
    case
        when int_registered_videos.video_id is not null then 'registered'
        -- what an earlier build registered keeps the name of its rule
        when int_item_matches.video_id = {{ stub_id("int_items.content_id", "int_items.catalogue_source") }}
            then 'registered'
        else int_item_matches.match_rule
    end as match_rule,
    case when int_registered_videos.video_id is null then int_item_matches.fault end as fault
from {{ ref("int_item_matches") }} as int_item_matches
inner join {{ ref("int_items") }} as int_items on int_item_matches.item_no = int_items.item_no
left join {{ ref("int_registered_videos") }} as int_registered_videos
    on
        int_item_matches.fault = 'unknown_video'
        and int_items.content_id = int_registered_videos.content_id
        and int_items.catalogue_source is not distinct from int_registered_videos.catalogue_source
