-- depends_on: {{ ref("int_user_fingerprints") }}
-- depends_on: {{ ref("int_user_numbers") }}
{% if must_make_everything() -%}
    select
        cast(null as integer) as user_no,
        cast(null as text) as user_key
{%- else -%}
with compared as (
    select
        coalesce(now_here.user_no, last_build.user_no) as user_no,
        now_here.fingerprint is distinct from last_build.fingerprint as has_changed
    from {{ ref("int_user_fingerprints") }} as now_here
    full join {{ kept_relation("int_user_states") }} as last_build on now_here.user_no = last_build.user_no
),

counted as (
    select count(*) filter (where compared.has_changed) > {{ var("rebuild_share") }} * count(*) as are_too_many
    from compared
)

select
    compared.user_no,
    int_user_numbers.user_key
from compared
left join {{ ref("int_user_numbers") }} as int_user_numbers on compared.user_no = int_user_numbers.user_no
where compared.has_changed and not (select counted.are_too_many from counted)
union all
select
    cast(null as integer) as user_no,
    cast(null as text) as user_key
from counted
where counted.are_too_many
{%- endif %}
