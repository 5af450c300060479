select
    cast(date_trunc('month', fct_interactions.occurred_at at time zone 'UTC') as date) as month,
    split_part(fct_interactions.user_key, ':', 1) as kind,
    count(distinct fct_interactions.user_key) as n_users,
    count(*) filter (where fct_interactions.label = 1) as n_likes,
    count(*) filter (where fct_interactions.label = 0) as n_dislikes,
    count(*) filter (where fct_interactions.is_seen_only) as n_seen_only
from {{ ref("fct_interactions") }} as fct_interactions
where fct_interactions.occurred_at is not null
group by 1, 2
