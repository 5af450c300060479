-- materialized: nobody should aggregate again to read the second element
with best as materialized (
    {%- for half in (1, 2) %}
        -- each half by itself, in the order of its index on user_no: over both everything would be sorted
        select
            ranked.user_no,
            (array_agg(ranked.preference order by ranked.preference) filter (where ranked.is_maker = 0))[1:3] as tags,
            (array_agg(ranked.preference order by ranked.preference) filter (where ranked.is_maker = 1))[1:3] as makers
        from (
            -- Most liked first, then by name, which is what the traits' numbers follow. Two numbers in one bigint,
            -- (high << 32) + low, sort in half the time; never hash such a thing: bigint's hash folds the halves.
            select
                outcomes.user_no,
                int_video_traits.trait_no & 1 as is_maker,
                ((2147483647 - count(*)) << 32) + int_video_traits.trait_no as preference
            from {{ ref("int_fresh_outcomes_" ~ half) }} as outcomes
            inner join {{ ref("int_video_traits") }} as int_video_traits
                on outcomes.video_id = int_video_traits.video_id
            where outcomes.split = 'train' and outcomes.label = 1
            group by outcomes.user_no, int_video_traits.trait_no
        ) as ranked
        group by ranked.user_no
        {{ "union all" if not loop.last }}
    {%- endfor %}
)

select
    best.user_no,
    array_remove(array[tag_1.name, tag_2.name, tag_3.name], null) as preferred_tags,
    array_remove(array[maker_1.name, maker_2.name, maker_3.name], null) as preferred_makers
from best
left join {{ ref("int_traits") }} as tag_1
    on (best.tags[1] & 4294967295) = tag_1.trait_no
left join {{ ref("int_traits") }} as tag_2
    on (best.tags[2] & 4294967295) = tag_2.trait_no
left join {{ ref("int_traits") }} as tag_3
    on (best.tags[3] & 4294967295) = tag_3.trait_no
left join {{ ref("int_traits") }} as maker_1
    on (best.makers[1] & 4294967295) = maker_1.trait_no
left join {{ ref("int_traits") }} as maker_2
    on (best.makers[2] & 4294967295) = maker_2.trait_no
left join {{ ref("int_traits") }} as maker_3
    on (best.makers[3] & 4294967295) = maker_3.trait_no
