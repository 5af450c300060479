-- A row returned says that what describes users was counted from other rows than the training split's.
with described as (
    select
        coalesce(sum(dim_users.n_likes), 0) as n_likes,
        coalesce(sum(dim_users.n_dislikes), 0) as n_dislikes,
        max(dim_users.last_at) as last_at,
        min(dim_users.first_at) as first_at,
        count(*) filter (
            where dim_users.n_likes = 0
            and (
                dim_users.preferred_tags != '{}'
                or dim_users.preferred_makers != '{}'
                or dim_users.price_preference is not null
            )
        ) as n_with_preferences_from_elsewhere
    from {{ ref("dim_users") }} as dim_users
),

training as (
    select
        count(*) filter (where fct_interactions.label = 1) as n_likes,
        count(*) filter (where fct_interactions.label = 0) as n_dislikes,
        max(fct_interactions.occurred_at) as last_at,
        min(fct_interactions.occurred_at) as first_at
    from {{ ref("fct_interactions") }} as fct_interactions
    where fct_interactions.split = 'train'
)

select described.*
from described
cross join training
where
    described.n_likes != training.n_likes
    or described.n_dislikes != training.n_dislikes
    or described.last_at is distinct from training.last_at
    or described.first_at is distinct from training.first_at
    or described.n_with_preferences_from_elsewhere > 0
