select
    cast(fct_interactions.occurred_at at time zone 'UTC' as date) as day,
    fct_interactions.video_id,
    count(*) filter (where fct_interactions.label = 1) as n_likes,
    count(*) filter (where fct_interactions.label = 0) as n_dislikes,
    count(*) filter (where fct_interactions.is_seen_only) as n_seen_only,
    count(*) filter (where fct_interactions.label = 1 and fct_interactions.split = 'train') as n_training_likes
from {{ ref("fct_interactions") }} as fct_interactions
where fct_interactions.occurred_at is not null
group by 1, 2
