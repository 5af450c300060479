with impressions as (
    select
        fct_impressions.*,
        cast(fct_impressions.shown_at at time zone 'UTC' as date) as shown_on,
        coalesce(fct_impressions.experiment, 'none') as experiment_name,
        coalesce(fct_impressions.arm, 'none') as arm_name,
        coalesce(fct_impressions.model_version, 'popularity') as served_by
    from {{ ref("fct_impressions") }} as fct_impressions
),

totals as (
    select
        impressions.shown_on,
        impressions.experiment_name,
        impressions.arm_name,
        impressions.served_by,
        count(*) as n_impressions,
        count(distinct impressions.user_key) as n_users,
        count(*) filter (where impressions.has_response) as n_responses,
        count(*) filter (where impressions.is_liked) as n_likes,
        count(*) filter (where impressions.is_disliked) as n_dislikes,
        avg(impressions.rank) filter (where impressions.is_liked) as liked_rank
    from impressions
    group by impressions.shown_on, impressions.experiment_name, impressions.arm_name, impressions.served_by
),

videos as (
    select
        impressions.shown_on,
        impressions.experiment_name,
        impressions.arm_name,
        impressions.served_by,
        impressions.video_id,
        count(*) as n_shown
    from impressions
    group by
        impressions.shown_on, impressions.experiment_name, impressions.arm_name, impressions.served_by,
        impressions.video_id
),

-- -sum(p log2 p) with p = n / N is log2 N - sum(n log2 n) / N
variety as (
    select
        videos.shown_on,
        videos.experiment_name,
        videos.arm_name,
        videos.served_by,
        count(*) as n_videos,
        (ln(sum(videos.n_shown)) - sum(videos.n_shown * ln(videos.n_shown)) / sum(videos.n_shown)) / ln(2) as entropy
    from videos
    group by videos.shown_on, videos.experiment_name, videos.arm_name, videos.served_by
)

select
    totals.shown_on,
    totals.experiment_name as experiment,
    totals.arm_name as arm,
    totals.served_by as model_version,
    totals.n_impressions,
    totals.n_users,
    variety.n_videos,
    cast(totals.n_responses as double precision) / totals.n_impressions as ctr,
    cast(totals.n_likes as double precision) / totals.n_impressions as like_rate,
    cast(totals.n_dislikes as double precision) / totals.n_impressions as dislike_rate,
    cast(variety.entropy as double precision) as diversity_bits,
    cast(totals.liked_rank as double precision) as mean_liked_rank
from totals
inner join variety
    on
        totals.shown_on = variety.shown_on
        and totals.experiment_name = variety.experiment_name
        and totals.arm_name = variety.arm_name
        and totals.served_by = variety.served_by
