-- by itself, in the order of the index on user_no: with a join in it everything would be sorted
with described as (
    select
        int_fresh_outcomes.user_no,
        array_agg(
            int_fresh_outcomes.video_id
            order by int_fresh_outcomes.occurred_at desc nulls last, int_fresh_outcomes.video_id asc
        ) filter (where int_fresh_outcomes.split = 'train' and int_fresh_outcomes.label = 1) as liked_video_ids,
        array_agg(
            int_fresh_outcomes.video_id
            order by int_fresh_outcomes.occurred_at desc nulls last, int_fresh_outcomes.video_id asc
        ) filter (where int_fresh_outcomes.split = 'train' and int_fresh_outcomes.label = 0) as disliked_video_ids,
        min(int_fresh_outcomes.occurred_at) filter (where int_fresh_outcomes.split = 'train') as first_at,
        max(int_fresh_outcomes.occurred_at) filter (where int_fresh_outcomes.split = 'train') as last_at
    from {{ ref("int_fresh_outcomes") }} as int_fresh_outcomes
    where int_fresh_outcomes.outcome in ('used', 'seen_only')
    group by int_fresh_outcomes.user_no
),

prices as (
    select
        int_fresh_outcomes.user_no,
        avg(int_catalogue.price) as price_preference
    from {{ ref("int_fresh_outcomes") }} as int_fresh_outcomes
    inner join {{ ref("int_catalogue") }} as int_catalogue on int_fresh_outcomes.video_id = int_catalogue.video_id
    where int_fresh_outcomes.split = 'train' and int_fresh_outcomes.label = 1 and int_catalogue.price is not null
    group by int_fresh_outcomes.user_no
)

select
    described.*,
    prices.price_preference,
    int_user_numbers.user_key
from described
left join prices on described.user_no = prices.user_no
inner join {{ ref("int_user_numbers") }} as int_user_numbers on described.user_no = int_user_numbers.user_no
