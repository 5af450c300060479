{{ config(severity="warn") }}
-- A returned row: the version that serves ranks no better than the list of the most liked (it was forced).
select
    rpt_model_health.version,
    rpt_model_health.ndcg_at_20,
    rpt_model_health.popularity_ndcg_at_20
from {{ ref("rpt_model_health") }} as rpt_model_health
where rpt_model_health.is_active and rpt_model_health.ndcg_at_20 <= rpt_model_health.popularity_ndcg_at_20
