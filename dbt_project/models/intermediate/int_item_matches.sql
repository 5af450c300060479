{%- set key_rules = [("external_id", "content_id", "external_key"), ("product_url", "url_key", "url_key")] -%}
{%- for rule in alias_rules() -%}
    {%- do key_rules.append((rule, rule, rule)) -%}
{%- endfor -%}

with items as (
    select * from {{ ref("int_items") }}
),

videos as (
    select * from {{ ref("int_videos") }}
),

-- every video each rule finds; the first rule that finds anything decides below
candidates as (
    select
        items.item_no,
        0 as precedence,
        'video_id' as match_rule,
        videos.video_id
    from items
    inner join videos on items.video_id = videos.video_id
    {%- for rule, item_key, video_key in key_rules %}
        union all
        select
            items.item_no,
            {{ loop.index }} as precedence,
            '{{ rule }}' as match_rule,
            videos.video_id
        from items
        inner join videos
            on
                items.{{ item_key }} = videos.{{ video_key }}
                and (items.catalogue_source is null or items.catalogue_source = videos.catalogue_source)
    {%- endfor %}
),

first_rule as (
    select
        candidates.item_no,
        min(candidates.precedence) as precedence
    from candidates
    group by candidates.item_no
),

decided as (
    select
        candidates.item_no,
        candidates.match_rule,
        count(*) as n_videos,
        min(cast(candidates.video_id as text)) as video_id
    from candidates
    inner join first_rule
        on candidates.item_no = first_rule.item_no and candidates.precedence = first_rule.precedence
    group by candidates.item_no, candidates.match_rule
)

select
    items.item_no,
    items.content_id,
    items.catalogue_source,
    case when decided.n_videos = 1 then decided.match_rule end as match_rule,
    case when decided.n_videos = 1 then cast(decided.video_id as uuid) end as video_id,
    case
        when decided.n_videos > 1 then 'ambiguous'
        when decided.n_videos = 1 then null
        when items.content_id is null then 'no_content_id'
        else 'unknown_video'
    end as fault
from items
left join decided on items.item_no = decided.item_no
