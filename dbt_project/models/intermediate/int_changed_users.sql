-- depends_on: {{ ref("int_fingerprints") }}
-- depends_on: {{ ref("int_lines") }}
-- depends_on: {{ ref("int_load_users") }}
-- depends_on: {{ ref("int_forgotten_users") }}
-- depends_on: {{ ref("int_user_links") }}
{% if must_make_everything() -%}
    select
        cast(null as bigint) as user_no,
        cast(null as text) as user_key
{%- else -%}
with changed_things as (
    select
        coalesce(now_here.kind, last_build.kind) as kind,
        coalesce(now_here.key, last_build.key) as key,
        coalesce(now_here.user_key, last_build.user_key) as user_key
    from {{ ref("int_fingerprints") }} as now_here
    full join {{ kept_relation("int_states") }} as last_build
        on now_here.kind = last_build.kind and now_here.key = last_build.key
    where now_here.fingerprint is distinct from last_build.fingerprint
),

last_clock as (
    select to_timestamp(cast(states.fingerprint as double precision)) as read_at
    from {{ kept_relation("int_states") }} as states
    where states.kind = 'clock'
),

-- lines that are new, or read again; lines about what changed; lines whose time has come, or left the window: each by
-- itself, as Postgres looks at no line where nothing of the kind has changed
changed_lines as (
    select
        int_load_users.user_no,
        int_load_users.user_key
    from {{ ref("int_load_users") }} as int_load_users
    where
        (int_load_users.source, int_load_users.load_id) in (
            select
                changed_things.kind,
                changed_things.key
            from changed_things
            where changed_things.kind in ('review', 'decision')
        )
    union
    select
        int_lines.user_no,
        int_lines.user_key
    from {{ ref("int_lines") }} as int_lines
    where int_lines.item_no in (select changed_things.key from changed_things where changed_things.kind = 'item')
    union
    select
        int_lines.user_no,
        int_lines.user_key
    from {{ ref("int_lines") }} as int_lines
    where
        {{ time_state("int_lines.happened_at") }} != {{
            time_state("int_lines.happened_at", "(select last_clock.read_at from last_clock)") }}
        {%- if var("window_months") is none %}
        and exists (
            select 1
            from {{ ref("int_load_users") }} as int_load_users
            where int_load_users.newest_at > least((select last_clock.read_at from last_clock), now())
        )
        {%- endif %}
    union
    select
        int_forgotten_users.user_no,
        int_forgotten_users.user_key
    from {{ ref("int_forgotten_users") }} as int_forgotten_users
),

changed as (
    select
        coalesce(int_user_links.app_no, changed_lines.user_no) as user_no,
        coalesce(int_user_links.app_key, changed_lines.user_key) as user_key
    from changed_lines
    left join {{ ref("int_user_links") }} as int_user_links on changed_lines.user_no = int_user_links.reviewer_no
    union
    select
        changed_things.key as user_no,
        changed_things.user_key
    from changed_things
    where changed_things.kind = 'user'
),

everybody as (
    select
        exists (select 1 from changed_things where changed_things.kind = 'recipe')
        or (select count(*) from changed)
        > {{ var("rebuild_share") }} * (select count(*) from {{ kept_relation("dim_users") }}) as is_changed
)

select
    changed.user_no,
    changed.user_key
from changed
where not (select everybody.is_changed from everybody)
union all
select
    cast(null as bigint) as user_no,
    cast(null as text) as user_key
from everybody
where everybody.is_changed
{%- endif %}
