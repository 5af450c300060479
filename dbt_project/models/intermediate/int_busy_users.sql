{%- set thresholds = [
    var("suspicious_events_per_minute"), var("suspicious_identical_stars"), var("suspicious_maker_likes"),
] | reject("none") | list -%}

-- Only these can break a rule of int_suspicious_users, which looks at their lines and nobody else's, however many there
-- are. A table of its own: what reads a CTE is one process.
with user_lines as (
    select
        coalesce(int_user_links.app_no, int_load_users.user_no) as user_no,
        int_load_users.n_lines
    from {{ ref("int_load_users") }} as int_load_users
    left join {{ ref("int_user_links") }} as int_user_links on int_load_users.user_no = int_user_links.reviewer_no
    where int_load_users.user_no != 0
    union all
    select
        {{ user_number("'app:' || stg_app__decisions.user_id") }} as user_no,
        1 as n_lines
    from {{ ref("stg_app__decisions") }} as stg_app__decisions
    where stg_app__decisions.user_id is not null
)

select
    user_lines.user_no,
    sum(user_lines.n_lines) as n_lines
from user_lines
group by user_lines.user_no
having sum(user_lines.n_lines) >= {{ thresholds | min if thresholds else "null" }}
