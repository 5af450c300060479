{#-
    What becomes of each line: the SQL of int_line_outcomes (everybody's, a view for people who look for a line) and of
    int_fresh_outcomes (a table of the users that changed, which the marts are made of).

    One sort does it all: lines of one user and video have the same lot, so that in the order of user and lot the
    newest of a pair is seen from its neighbour, and the draw of the split has little to put in order.
-#}
{% macro line_outcomes(lines) -%}
-- what is sorted by, then numbers, then what may be null or of any length: rows are compared and copied many times below,
-- and a column is found at once where none of varying length stands before it
with lines as (
    select
        int_matched_lines.user_no,
        decode(md5(int_matched_lines.user_key || ' ' || int_matched_lines.video_key), 'hex') as lot,
        int_matched_lines.video_id,
        int_matched_lines.load_id,
        int_matched_lines.line_number,
        int_matched_lines.is_review,
        int_matched_lines.item_no,
        int_matched_lines.occurred_at,
        int_matched_lines.label,
        int_matched_lines.user_key,
        int_matched_lines.source,
        int_matched_lines.match_rule,
        int_matched_lines.split,
        coalesce(
            int_matched_lines.fault,
            case when int_suspicious_users.user_no is not null then 'suspicious_user' end
        ) as exclusion
    from {{ lines }} as int_matched_lines
    left join {{ ref("int_suspicious_users") }} as int_suspicious_users
        on int_matched_lines.user_no = int_suspicious_users.user_no
),

-- the lines of one user and video in a row: decisions before reviews, the newest of each first
lined_up as (
    select
        lines.*,
        lag(lines.is_review) over (
            partition by lines.user_no, lines.lot, lines.video_id, lines.exclusion is null
            order by
                lines.is_review asc,
                lines.occurred_at desc nulls last,
                lines.load_id desc nulls first,
                lines.line_number desc,
                lines.label desc
        ) as is_review_before
    from lines
),

decided as (
    select
        lined_up.*,
        case
            when lined_up.exclusion is not null then lined_up.exclusion
            when lined_up.is_review_before = lined_up.is_review then 'duplicate'
            -- the newest review behind a decision: an eligible decision always carries a label
            when not lined_up.is_review_before then 'overridden'
            when lined_up.label is null then 'seen_only'
            else 'used'
        end as outcome
    from lined_up
),

to_split as (
    select
        decided.*,
        decided.outcome = 'used' and decided.split is null as is_to_split
    from decided
),

pairs as (
    select
        to_split.*,
        {{ draw_lots("to_split") }}
    from to_split
    {{ window_of_draws("to_split") }}
),

{{ split_up("pairs") }}

select
    split_up.source,
    split_up.load_id,
    split_up.line_number,
    split_up.user_no,
    split_up.user_key,
    split_up.item_no,
    split_up.video_id,
    split_up.match_rule,
    split_up.label,
    split_up.occurred_at,
    split_up.outcome,
    -- of the rows that decide something only: what else a file says is nobody's split
    case
        when split_up.is_to_split then split_up.drawn_split
        when split_up.outcome = 'used' then split_up.split
    end as split,
    not split_up.is_to_split and split_up.outcome = 'used' as is_split_from_file
from split_up
{%- endmacro %}
