{{ config(severity="warn") }}
-- A returned row: the index keeps less of the exact lists than var alert_ann_recall.
select
    rpt_model_health.version,
    rpt_model_health.ann_recall_at_20
from {{ ref("rpt_model_health") }} as rpt_model_health
where rpt_model_health.is_active and rpt_model_health.ann_recall_at_20 < {{ var("alert_ann_recall") }}
