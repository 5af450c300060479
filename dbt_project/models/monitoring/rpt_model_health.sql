with versions as (
    select
        versions.*,
        extract(epoch from now() - versions.created_at) / 86400 as age_days
    from {{ ref("stg_recsys__versions") }} as versions
),

-- the holdout is test where there is one, else val
measured as (
    select distinct on (evaluations.version, evaluations.model_name, evaluations.metric)
        evaluations.version,
        evaluations.model_name,
        evaluations.metric,
        evaluations.value
    from {{ ref("stg_recsys__evaluations") }} as evaluations
    where evaluations.slice = 'all'
    order by
        evaluations.version, evaluations.model_name, evaluations.metric,
        case when evaluations.split = 'test' then 0 else 1 end, evaluations.split
),

metrics as (
    select
        measured.version,
        max(measured.value) filter (where measured.model_name = 'two_tower' and measured.metric = 'recall@20')
            as recall_at_20,
        max(measured.value) filter (where measured.model_name = 'two_tower' and measured.metric = 'ndcg@20')
            as ndcg_at_20,
        max(measured.value) filter (where measured.model_name = 'two_tower' and measured.metric = 'precision@10')
            as precision_at_10,
        max(measured.value) filter (where measured.model_name = 'two_tower' and measured.metric = 'coverage@20')
            as coverage_at_20,
        max(measured.value) filter (where measured.model_name = 'popularity' and measured.metric = 'ndcg@20')
            as popularity_ndcg_at_20,
        max(measured.value) filter (where measured.metric = 'ann_recall@20') as ann_recall_at_20
    from measured
    group by measured.version
),

vectors as (
    select
        vectors.version,
        count(distinct videos.video_id) as n_videos,
        count(distinct users.user_key) as n_app_users
    from {{ ref("stg_recsys__vectors") }} as vectors
    left join {{ ref("dim_videos") }} as videos on vectors.video_id = videos.video_id
    left join {{ ref("dim_users") }} as users
        on vectors.user_key = users.user_key and users.kind = 'app' and users.n_likes > 0
    group by vectors.version
),

now_here as (
    select
        (select count(*) from {{ ref("dim_videos") }}) as n_videos,
        (
            select count(*) from {{ ref("dim_users") }} as users
            where users.kind = 'app' and users.n_likes > 0 and not users.is_suspicious
        ) as n_app_users
),

-- drift is asked of the version that serves, which is one: the limit says so to the planner
active as (
    select
        versions.version,
        versions.created_at
    from versions
    where versions.is_active
    order by versions.version
    limit 1
),

likes as (
    select
        fct_interactions.user_key,
        fct_interactions.video_id,
        fct_interactions.occurred_at
    from {{ ref("fct_interactions") }} as fct_interactions
    where fct_interactions.label = 1 and fct_interactions.occurred_at is not null
),

-- per maker, the likes the version could know and those that came after
maker_likes as (
    select
        active.version,
        dim_videos.maker,
        count(*) filter (where likes.occurred_at <= active.created_at) as n_known,
        count(*) filter (where likes.occurred_at > active.created_at) as n_since
    from active
    cross join likes
    inner join {{ ref("dim_videos") }} as dim_videos on likes.video_id = dim_videos.video_id
    group by active.version, dim_videos.maker
),

like_totals as (
    select
        maker_likes.version,
        sum(maker_likes.n_known) as n_known,
        sum(maker_likes.n_since) as n_since
    from maker_likes
    group by maker_likes.version
),

-- half the sum of |share after - share before| over makers: 0 the same mix, 1 nothing in common
taste as (
    select
        like_totals.version,
        like_totals.n_since,
        sum(
            abs(
                maker_likes.n_known / nullif(like_totals.n_known, 0)
                - maker_likes.n_since / nullif(like_totals.n_since, 0)
            )
        ) / 2 as maker_shift
    from like_totals
    inner join maker_likes on like_totals.version = maker_likes.version
    group by like_totals.version, like_totals.n_since
),

first_likes as (
    select
        likes.user_key,
        min(likes.occurred_at) as user_since
    from likes
    group by likes.user_key
),

users_since as (
    select
        active.version,
        cast(count(*) filter (where first_likes.user_since > active.created_at) as double precision) / count(*)
            as share_users_new
    from active
    cross join first_likes
    group by active.version
),

videos_since as (
    select
        active.version,
        cast(count(*) filter (where videos.created_at > active.created_at) as double precision) / count(*)
            as share_videos_new
    from active
    cross join {{ ref("stg_app__videos") }} as videos
    group by active.version
),

-- a list is logged in one transaction: its rows have one time
timed_lists as (
    select distinct
        impressions.version,
        impressions.app_user_id,
        impressions.shown_at,
        impressions.waited_ms
    from {{ ref("stg_recsys__impressions") }} as impressions
    where impressions.waited_ms is not null
),

calls as (
    select
        timed_lists.version,
        count(*) as n_timed_lists,
        percentile_cont(0.95) within group (order by timed_lists.waited_ms) as p95_ms
    from timed_lists
    group by timed_lists.version
)

select
    versions.version,
    versions.status,
    versions.is_active,
    versions.embedding_dim,
    versions.created_at,
    versions.promoted_at,
    cast(versions.age_days as double precision) as age_days,
    metrics.recall_at_20,
    metrics.ndcg_at_20,
    metrics.precision_at_10,
    metrics.coverage_at_20,
    metrics.popularity_ndcg_at_20,
    metrics.ndcg_at_20 - lag(metrics.ndcg_at_20) over (order by versions.created_at, versions.version)
        as ndcg_at_20_change,
    metrics.ann_recall_at_20,
    cast(calls.p95_ms as double precision) as p95_ms,
    coalesce(calls.n_timed_lists, 0) as n_timed_lists,
    1 - cast(coalesce(vectors.n_videos, 0) as double precision) / nullif(now_here.n_videos, 0)
        as share_videos_without_vector,
    1 - cast(coalesce(vectors.n_app_users, 0) as double precision) / nullif(now_here.n_app_users, 0)
        as share_users_without_vector,
    cast(taste.n_since as bigint) as n_likes_since,
    users_since.share_users_new,
    videos_since.share_videos_new,
    -- under a hundred likes the mix of makers is chance
    case when taste.n_since >= 100 then cast(taste.maker_shift as double precision) end as maker_shift
from versions
cross join now_here
left join metrics on versions.version = metrics.version
left join vectors on versions.version = vectors.version
left join taste on versions.version = taste.version
left join users_since on versions.version = users_since.version
left join videos_since on versions.version = videos_since.version
left join calls on versions.version = calls.version
