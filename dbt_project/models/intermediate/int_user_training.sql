-- in the order of fct_interactions' key, so that no million of rows is sorted again
with described as (
    select
        fct_interactions.user_key,
        array_agg(
            fct_interactions.video_id
            order by fct_interactions.occurred_at desc nulls last, fct_interactions.video_id asc
        ) filter (where fct_interactions.split = 'train' and fct_interactions.label = 1) as liked_video_ids,
        array_agg(
            fct_interactions.video_id
            order by fct_interactions.occurred_at desc nulls last, fct_interactions.video_id asc
        ) filter (where fct_interactions.split = 'train' and fct_interactions.label = 0) as disliked_video_ids,
        min(fct_interactions.occurred_at) filter (where fct_interactions.split = 'train') as first_at,
        max(fct_interactions.occurred_at) filter (where fct_interactions.split = 'train') as last_at,
        avg(int_catalogue.price) filter (where fct_interactions.split = 'train' and fct_interactions.label = 1)
            as price_preference
    from {{ ref("fct_interactions") }} as fct_interactions
    inner join {{ ref("int_catalogue") }} as int_catalogue on fct_interactions.video_id = int_catalogue.video_id
    group by fct_interactions.user_key
)

select
    described.*,
    -- a small number to sort by, where there are more traits than interactions
    row_number() over (order by described.user_key) as user_no
from described
