-- each half by itself, in the order of its index on user_no: with a join, or over both, everything would be sorted
with described as (
    {%- for half in (1, 2) %}
        select
            outcomes.user_no,
            min(outcomes.user_key) as user_key,
            array_agg(
                outcomes.video_id
                order by outcomes.occurred_at desc nulls last, outcomes.video_id asc
            ) filter (where outcomes.split = 'train' and outcomes.label = 1) as liked_video_ids,
            array_agg(
                outcomes.video_id
                order by outcomes.occurred_at desc nulls last, outcomes.video_id asc
            ) filter (where outcomes.split = 'train' and outcomes.label = 0) as disliked_video_ids,
            min(outcomes.occurred_at) filter (where outcomes.split = 'train') as first_at,
            max(outcomes.occurred_at) filter (where outcomes.split = 'train') as last_at
        from {{ ref("int_fresh_outcomes_" ~ half) }} as outcomes
        where outcomes.outcome in ('used', 'seen_only')
        group by outcomes.user_no
        {{ "union all" if not loop.last }}
    {%- endfor %}
),

prices as (
    select
        outcomes.user_no,
        avg(int_catalogue.price) as price_preference
    from {{ ref("int_fresh_outcomes") }} as outcomes
    inner join {{ ref("int_catalogue") }} as int_catalogue on outcomes.video_id = int_catalogue.video_id
    where outcomes.split = 'train' and outcomes.label = 1 and int_catalogue.price is not null
    group by outcomes.user_no
)

select
    described.*,
    prices.price_preference
from described
left join prices on described.user_no = prices.user_no
