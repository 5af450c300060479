{#-
    Two ways to give the rows that no file has split (`is_to_split`) to train, val and test. Each writes the CTE
    `split_up`: the rows of CTE `pairs` with a column `drawn_split`.
    Ratios are decimal numbers in the SQL, never floating ones, so that 0.29 of 100 rows is 29 and not 28.
-#}
{% macro split_up(pairs) -%}
    {%- if var("split_strategy") == "temporal" -%}
        {{ temporal_split(pairs) }}
    {%- else -%}
        {{ user_stratified_split(pairs) }}
    {%- endif -%}
{%- endmacro %}

{#-
    user_stratified, first half: the place of each row in its user's draw, and how many take part, both of one window:
    counting rows to split among the others takes two, at twice the time. The order is that of `lot`, md5(user_key, space,
    video's key): the same on every machine and in whatever order rows come. The key is the external_id, where there is
    one: uuids differ between databases.
-#}
{% macro draw_lots(lines) -%}
    {%- if var("split_strategy") == "temporal" -%}
    cast(null as bigint) as draw,
    cast(null as bigint) as n_draws
    {%- else -%}
    row_number() over draws as draw,
    count(*) over draws as n_draws
    {%- endif -%}
{%- endmacro %}

{#- The window of draw_lots(): a clause that stands behind its `from`. -#}
{% macro window_of_draws(lines) -%}
    {%- if var("split_strategy") != "temporal" -%}
    window draws as (
        partition by {{ lines }}.user_no, {{ lines }}.is_to_split
        order by {{ lines }}.lot, {{ lines }}.video_id
        rows between unbounded preceding and unbounded following
    )
    {%- endif -%}
{%- endmacro %}

{#-
    user_stratified, second half: of n rows max(1, floor(n x ratio)) to test, as many by val_ratio to val, the rest to
    train; a user with one row stays in train, a ratio of 0 takes none.
-#}
{% macro user_stratified_split(pairs) -%}
shares as (
    select
        {{ pairs }}.*,
        {{ share_of_rows(pairs ~ ".n_draws", var("test_ratio")) }} as n_test,
        {{ share_of_rows(pairs ~ ".n_draws", var("val_ratio")) }} as n_val
    from {{ pairs }}
),

split_up as (
    select
        shares.*,
        case
            when shares.draw <= shares.n_test then 'test'
            when shares.draw <= shares.n_test + shares.n_val then 'val'
            else 'train'
        end as drawn_split
    from shares
)
{%- endmacro %}

{#- In whole numbers, which is exact to nine decimals of the ratio and costs a fifth of numeric arithmetic. -#}
{% macro share_of_rows(n_rows, ratio) -%}
    {%- if ratio | float == 0 -%}
        0
    {%- else -%}
        case
            when {{ n_rows }} > 1 then greatest(1, {{ n_rows }} * {{ (ratio | float * 1e9) | round | int }} / 1000000000)
            else 0
        end
    {%- endif -%}
{%- endmacro %}

{#-
    One global cut per split: of the dated rows the newest floor(n x test_ratio) are test, the newest
    floor(n x (test_ratio + val_ratio)) without these val; rows of one instant stay together on the older side. Rows
    without a time are train.
-#}
{% macro temporal_split(pairs) -%}
dated as (
    select {{ pairs }}.occurred_at
    from {{ pairs }}
    where {{ pairs }}.is_to_split and {{ pairs }}.occurred_at is not null
),

counted as (
    select
        count(*) as n_rows,
        count(*) - floor(count(*) * {{ var("test_ratio") }}) as n_before_test,
        count(*) - floor(count(*) * ({{ var("test_ratio") }} + {{ var("val_ratio") }})) as n_before_val
    from dated
),

-- half a row less: no rounding of the division can carry the percentile over to the next row
cuts as (
    select
        percentile_disc(
            (select (counted.n_before_test - 0.5) / counted.n_rows from counted where counted.n_before_test > 0)
        ) within group (order by dated.occurred_at) as test_after,
        percentile_disc(
            (select (counted.n_before_val - 0.5) / counted.n_rows from counted where counted.n_before_val > 0)
        ) within group (order by dated.occurred_at) as val_after
    from dated
),

split_up as (
    select
        {{ pairs }}.*,
        case
            when {{ pairs }}.occurred_at > cuts.test_after then 'test'
            when {{ pairs }}.occurred_at > cuts.val_after then 'val'
            else 'train'
        end as drawn_split
    from {{ pairs }}
    cross join cuts
)
{%- endmacro %}
