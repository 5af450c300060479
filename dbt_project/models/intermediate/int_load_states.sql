select
    stg_raw__load_versions.source,
    stg_raw__load_versions.load_id,
    stg_raw__load_versions.fingerprint,
    previous.reading
from {{ ref("stg_raw__load_versions") }} as stg_raw__load_versions
left join {{ previous_readings() }} as previous
    on stg_raw__load_versions.source = previous.source and stg_raw__load_versions.load_id = previous.load_id
