-- Rates are likes per impression, but users are what was dealt to the arms: the interval is that of a ratio of sums
-- over users (delta method, Deng, Knoblich, Lu 2018), which does not take one busy user for many.
with arms as (
    select
        arms.experiment,
        arms.arm,
        arms.version,
        arms.user_share / sum(arms.user_share) over (partition by arms.experiment) as user_share,
        -- beside what the others are held: the arm of the active version, else the first by name
        row_number() over (
            partition by arms.experiment order by case when arms.version is null then 0 else 1 end, arms.arm
        ) = 1 as is_control
    from {{ ref("stg_recsys__experiment_arms") }} as arms
),

users as (
    select
        fct_impressions.experiment,
        fct_impressions.arm,
        fct_impressions.user_key,
        count(*) as n_impressions,
        count(*) filter (where fct_impressions.has_response) as n_responses,
        count(*) filter (where fct_impressions.is_liked) as n_likes
    from {{ ref("fct_impressions") }} as fct_impressions
    where fct_impressions.experiment is not null
    group by fct_impressions.experiment, fct_impressions.arm, fct_impressions.user_key
),

sums as (
    select
        users.experiment,
        users.arm,
        count(*) as n_users,
        sum(users.n_impressions) as n_impressions,
        cast(sum(users.n_responses) as double precision) / sum(users.n_impressions) as ctr,
        cast(sum(users.n_likes) as double precision) / sum(users.n_impressions) as like_rate
    from users
    group by users.experiment, users.arm
),

errors as (
    select
        users.experiment,
        users.arm,
        sqrt(
            sum(power(users.n_likes - sums.like_rate * users.n_impressions, 2))
            * count(*) / nullif(count(*) - 1, 0)
        ) / sum(users.n_impressions) as standard_error
    from users
    inner join sums on users.experiment = sums.experiment and users.arm = sums.arm
    group by users.experiment, users.arm
),

results as (
    select
        arms.experiment,
        arms.arm,
        arms.version,
        arms.is_control,
        arms.user_share,
        sums.ctr,
        sums.like_rate,
        errors.standard_error,
        coalesce(sums.n_users, 0) as n_users,
        coalesce(sums.n_impressions, 0) as n_impressions,
        sum(coalesce(sums.n_users, 0)) over (partition by arms.experiment) as n_dealt
    from arms
    left join sums on arms.experiment = sums.experiment and arms.arm = sums.arm
    left join errors on arms.experiment = errors.experiment and arms.arm = errors.arm
),

compared as (
    select
        results.*,
        control.like_rate as control_rate,
        sqrt(power(results.standard_error, 2) + power(control.standard_error, 2)) as difference_error,
        (results.n_users - results.n_dealt * results.user_share)
        / nullif(sqrt(results.n_dealt * results.user_share * (1 - results.user_share)), 0) as deal_z
    from results
    inner join results as control on results.experiment = control.experiment and control.is_control
)

select
    compared.experiment,
    compared.arm,
    compared.version as model_version,
    compared.is_control,
    compared.user_share,
    cast(compared.n_users as bigint) as n_users,
    cast(compared.n_impressions as bigint) as n_impressions,
    compared.ctr,
    compared.like_rate,
    compared.like_rate - 1.96 * compared.standard_error as like_rate_low,
    compared.like_rate + 1.96 * compared.standard_error as like_rate_high,
    case when not compared.is_control then compared.like_rate - compared.control_rate end as difference,
    case
        when not compared.is_control
            then compared.like_rate - compared.control_rate - 1.96 * compared.difference_error
    end as difference_low,
    case
        when not compared.is_control
            then compared.like_rate - compared.control_rate + 1.96 * compared.difference_error
    end as difference_high,
    cast(compared.deal_z as double precision) as sample_ratio_z,
    -- 3.29: one honest experiment in a thousand is accused; the usual limit, as the check is made every day
    coalesce(abs(compared.deal_z) <= 3.29, true) as is_sample_ratio_ok
from compared
