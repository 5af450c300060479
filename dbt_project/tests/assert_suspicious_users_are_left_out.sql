-- A row returned is an interaction of a suspicious user: it would be trained on.
select
    fct_interactions.user_key,
    fct_interactions.video_id
from {{ ref("fct_interactions") }} as fct_interactions
inner join {{ ref("dim_users") }} as dim_users on fct_interactions.user_key = dim_users.user_key
where dim_users.is_suspicious
