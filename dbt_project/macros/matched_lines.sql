{#-
    Lines and decisions with their video, label and first fault: the SQL of int_matched_lines (everybody's, a view), and
    of those models that want the lines of some users, or of files about some items, only. `users` and `items` are
    queries for their numbers; they are asked before anything else is joined to a line. `half` is 1 or 2: see and_in_half().
-#}
{% macro matched_lines(users=none, items=none, half=none) -%}
with file_lines as (
    select
        int_lines.source,
        int_lines.source = 'review' as is_review,
        int_lines.load_id,
        int_lines.line_number,
        coalesce(int_user_links.app_no, int_lines.user_no) as user_no,
        coalesce(int_user_links.app_key, int_lines.user_key) as user_key,
        int_lines.item_no,
        int_lines.stars,
        int_lines.decision,
        int_lines.happened_at,
        int_lines.split,
        int_item_videos.video_id,
        int_item_videos.video_key,
        int_item_videos.match_rule,
        case when int_lines.item_no is null then 'no_content_id' else int_item_videos.fault end as item_fault
    from {{ ref("int_lines") }} as int_lines
    left join {{ ref("int_item_videos") }} as int_item_videos on int_lines.item_no = int_item_videos.item_no
    left join {{ ref("int_user_links") }} as int_user_links on int_lines.user_no = int_user_links.reviewer_no
    where
        true
        {{ and_own_number_among(users) }}
        {{ and_among(users, "coalesce(int_user_links.app_no, int_lines.user_no)") }}
        {{ and_in_half(half, "coalesce(int_user_links.app_no, int_lines.user_no)") }}
        {{ and_among(items, "int_lines.item_no") }}
),

app_lines as (
    select
        'app' as source,
        false as is_review,
        -- the live table is younger than any file, and its decisions younger than the likes of its first days
        cast(null as bigint) as load_id,
        cast(case stg_app__decisions.app_table when 'likes' then 1 else 2 end as bigint) as line_number,
        {{ user_number("'app:' || stg_app__decisions.user_id") }} as user_no,
        {{ bytewise("('app:' || stg_app__decisions.user_id)") }} as user_key,
        cast(null as integer) as item_no,
        cast(null as numeric) as stars,
        lower({{ trimmed("stg_app__decisions.decision") }}) as decision,
        stg_app__decisions.happened_at,
        cast(null as text) as split,
        int_catalogue.video_id,
        int_catalogue.video_key,
        'app' as match_rule,
        case
            when stg_app__decisions.video_id is null then 'no_content_id'
            when int_catalogue.video_id is null then 'unknown_video'
        end as item_fault
    from {{ ref("stg_app__decisions") }} as stg_app__decisions
    left join {{ ref("int_catalogue") }} as int_catalogue on stg_app__decisions.video_id = int_catalogue.video_id
    where
        {{ "false" if items else "true" }}
        {{ and_among(users, user_number("'app:' || stg_app__decisions.user_id")) }}
        {{ and_in_half(half, user_number("'app:' || stg_app__decisions.user_id")) }}
),

lines as (
    select * from file_lines
    union all
    select * from app_lines
),

labelled as (
    select
        lines.*,
        case when lines.happened_at <= now() then lines.happened_at end as occurred_at,
        cast(
            case
                when lines.stars >= {{ var("min_stars") }} then 1
                when lines.stars <= {{ var("max_negative_stars") }} then 0
                when lines.decision in ('1', '0') then cast(lines.decision as integer)
                when lines.decision ~ '^[01]\.0+$' then cast(left(lines.decision, 1) as integer)
                else decision_labels.label
            end as smallint
        ) as label,
        case
            when lines.is_review
                then
                    case
                        when lines.stars > 0 and lines.stars <= {{ var("stars_max") }} then null
                        else 'bad_stars'
                    end
            when lines.decision ~ '^[01](\.0+)?$' then null
            when decision_labels.decision is null then 'unknown_decision'
            when decision_labels.label is null then 'skip'
        end as signal_fault
    from lines
    left join {{ ref("decision_labels") }} as decision_labels on lines.decision = decision_labels.decision
)

select
    labelled.source,
    labelled.is_review,
    labelled.load_id,
    labelled.line_number,
    labelled.user_no,
    labelled.user_key,
    labelled.item_no,
    labelled.stars,
    labelled.occurred_at,
    labelled.split,
    labelled.video_id,
    labelled.video_key,
    labelled.match_rule,
    labelled.label,
    case
        when labelled.user_key is null then 'no_user'
        when labelled.signal_fault is not null then labelled.signal_fault
        when labelled.item_fault is not null then labelled.item_fault
        when {{ is_outside_window("labelled.occurred_at") }} then 'outside_window'
    end as fault
from labelled
{%- endmacro %}

{#-
    The users with numbers below 0, or the others: half of them. What becomes of a user's lines is one long walk through them in their order,
    which Postgres takes with one process; two halves are two models, made at the same time. A temporal split has one
    cut for everybody and no halves: there all are in the first.
-#}
{% macro and_in_half(half, user_no) -%}
    {%- if half and var("split_strategy") == "temporal" -%}
    and {{ "true" if half == 1 else "false" }}
    {%- elif half -%}
    and {{ user_no }} {{ "<" if half == 1 else ">=" }} 0
    {%- endif -%}
{%- endmacro %}

{#-
    Of the line's own number, which may be that of a reviewer linked to one of `users`: Postgres asks this first, of the
    line as it lies there, and joins the rest to the lines that are left.
-#}
{% macro and_own_number_among(users) -%}
    {%- if users -%}
    and int_lines.user_no in (
        {{ users }}
        union all
        select linked.reviewer_no from {{ ref("int_user_links") }} as linked where linked.app_no in ({{ users }})
    )
    {%- endif -%}
{%- endmacro %}

{% macro and_among(numbers, column) -%}
    {%- if numbers -%}
    and {{ column }} in ({{ numbers }})
    {%- endif -%}
{%- endmacro %}
