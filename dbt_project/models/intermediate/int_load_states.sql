select
    coalesce(stg_raw__load_versions.source, previous.source) as source,
    coalesce(stg_raw__load_versions.load_id, previous.load_id) as load_id,
    stg_raw__load_versions.fingerprint,
    previous.reading
from {{ ref("stg_raw__load_versions") }} as stg_raw__load_versions
full join {{ previous_readings() }} as previous
    on stg_raw__load_versions.source = previous.source and stg_raw__load_versions.load_id = previous.load_id
-- a file that is gone stays until its lines are forgotten
where stg_raw__load_versions.load_id is not null or previous.reading is not null
