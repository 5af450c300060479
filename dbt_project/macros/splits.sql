{#-
    Two ways to give the rows of CTE `pairs` that no file has split (`is_to_split`) to train, val and test. Each writes
    the CTE `split_up`: the same rows with a column `split`, null where nothing was to be split.
    Ratios are written into the SQL as decimal numbers, so that 0.29 of 100 rows is 29 and not 28.
-#}

{#-
    Per user of n such rows: max(1, floor(n x ratio)) to test, as many by val_ratio to val, the rest to train; a user
    with one row stays in train, a ratio of 0 takes none. Which rows: the first by md5 of user and video, so it is the
    same on every machine and in whatever order rows come.
-#}
{% macro user_stratified_split(pairs) -%}
keyed as (
    select
        {{ pairs }}.*,
        md5({{ pairs }}.user_key || ' ' || int_catalogue.video_key) collate "C" as lot
    from {{ pairs }}
    left join {{ ref("int_catalogue") }} as int_catalogue on {{ pairs }}.video_id = int_catalogue.video_id
),

drawn as (
    select
        keyed.*,
        row_number() over (
            partition by keyed.user_key, keyed.is_to_split order by keyed.lot, keyed.video_id
        ) as draw,
        count(*) over (partition by keyed.user_key, keyed.is_to_split) as n_rows
    from keyed
),

shares as (
    select
        drawn.*,
        {{ share_of_rows("drawn.n_rows", var("test_ratio")) }} as n_test,
        {{ share_of_rows("drawn.n_rows", var("val_ratio")) }} as n_val
    from drawn
),

split_up as (
    select
        shares.*,
        case
            when not shares.is_to_split then null
            when shares.draw <= shares.n_test then 'test'
            when shares.draw <= shares.n_test + shares.n_val then 'val'
            else 'train'
        end as split
    from shares
)
{%- endmacro %}

{% macro share_of_rows(n_rows, ratio) -%}
    {%- if ratio | float == 0 -%}
        0
    {%- else -%}
        case when {{ n_rows }} > 1 then greatest(1, floor({{ n_rows }} * {{ ratio }})) else 0 end
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
            when not {{ pairs }}.is_to_split then null
            when {{ pairs }}.occurred_at > cuts.test_after then 'test'
            when {{ pairs }}.occurred_at > cuts.val_after then 'val'
            else 'train'
        end as split
    from {{ pairs }}
    cross join cuts
)
{%- endmacro %}
