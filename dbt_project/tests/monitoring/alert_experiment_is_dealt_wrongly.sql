{{ config(severity="warn") }}
-- A returned row: an arm has more or fewer users than its share promises; do not read the experiment.
select
    results.experiment,
    results.arm,
    results.sample_ratio_z
from {{ ref("rpt_experiment_results") }} as results
where not results.is_sample_ratio_ok
