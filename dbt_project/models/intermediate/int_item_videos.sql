with decided as (
    select
        int_item_matches.item_no,
        coalesce(int_item_matches.video_id, int_registered_videos.video_id) as video_id,
        case
            when int_registered_videos.video_id is not null then 'registered'
            -- what an earlier build registered keeps the name of its rule
            when
                int_item_matches.video_id
                = {{ stub_id("int_item_matches.content_id", "int_item_matches.catalogue_source") }}
                then 'registered'
            else int_item_matches.match_rule
        end as match_rule,
        case when int_registered_videos.video_id is null then int_item_matches.fault end as fault
    from {{ ref("int_item_matches") }} as int_item_matches
    left join {{ ref("int_registered_videos") }} as int_registered_videos
        on
            int_item_matches.fault = 'unknown_video'
            and int_item_matches.content_id = int_registered_videos.content_id
            and coalesce(int_item_matches.catalogue_source, '')
            = coalesce(int_registered_videos.catalogue_source, '')
)

select
    decided.item_no,
    decided.video_id,
    int_catalogue.video_key,
    decided.match_rule,
    decided.fault,
    hashtextextended(
        concat_ws('|', decided.video_id, decided.match_rule, decided.fault, int_catalogue.fingerprint), 0
    ) as fingerprint
from decided
left join {{ ref("int_catalogue") }} as int_catalogue on decided.video_id = int_catalogue.video_id
