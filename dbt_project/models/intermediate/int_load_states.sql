{%- set previous = none if flags.FULL_REFRESH or not execute else load_relation(this) -%}

select
    stg_raw__load_versions.source,
    stg_raw__load_versions.load_id,
    stg_raw__load_versions.fingerprint,
    {{ "previous.reading" if previous else "cast(null as text) as reading" }}
from {{ ref("stg_raw__load_versions") }} as stg_raw__load_versions
{%- if previous %}
left join {{ previous }} as previous
    on stg_raw__load_versions.source = previous.source and stg_raw__load_versions.load_id = previous.load_id
{%- endif %}
