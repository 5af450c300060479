-- depends_on: {{ ref("int_load_states") }}
select
    int_lines.source,
    int_lines.load_id,
    int_lines.user_no,
    int_lines.user_key,
    cast(count(*) as integer) as n_lines,
    max(int_lines.happened_at) as newest_at,
    count(*) filter (where int_lines.has_time and int_lines.happened_at is null) as n_unreadable_times,
    count(*) filter (where int_lines.has_split and int_lines.split is null) as n_unreadable_splits
from {{ ref("int_lines") }} as int_lines
{{ where_uncounted("int_lines") }}
group by int_lines.source, int_lines.load_id, int_lines.user_no, int_lines.user_key
