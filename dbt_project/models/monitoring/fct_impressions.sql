with impressions as (
    select * from {{ ref("stg_recsys__impressions") }}
),

responses as (
    select
        decisions.user_id as app_user_id,
        decisions.video_id,
        decisions.happened_at as responded_at,
        decision_labels.label
    from {{ ref("stg_app__decisions") }} as decisions
    left join {{ ref("decision_labels") }} as decision_labels
        on lower(trim(decisions.decision)) = decision_labels.decision
),

-- one response is credited to one impression: the last before it
credited as (
    select distinct on (responses.app_user_id, responses.video_id, responses.responded_at, responses.label)
        impressions.impression_id,
        responses.responded_at,
        responses.label
    from responses
    inner join impressions
        on
            responses.app_user_id = impressions.app_user_id
            and responses.video_id = impressions.video_id
            and responses.responded_at >= impressions.shown_at
            and responses.responded_at < impressions.shown_at + make_interval(days => {{ var("response_days") }})
    order by
        responses.app_user_id asc, responses.video_id asc, responses.responded_at asc, responses.label asc,
        impressions.shown_at desc, impressions.impression_id desc
),

outcomes as (
    select
        credited.impression_id,
        min(credited.responded_at) as responded_at,
        bool_or(credited.label = 1) as is_liked,
        bool_or(credited.label = 0) as is_disliked
    from credited
    group by credited.impression_id
)

select
    impressions.impression_id,
    'app:' || impressions.app_user_id as user_key,
    impressions.video_id,
    impressions.rank,
    impressions.score,
    impressions.version as model_version,
    impressions.experiment,
    impressions.arm,
    impressions.propensity,
    impressions.surface,
    impressions.shown_at,
    outcomes.impression_id is not null as has_response,
    coalesce(outcomes.is_liked, false) as is_liked,
    coalesce(outcomes.is_disliked, false) as is_disliked,
    outcomes.responded_at
from impressions
left join outcomes on impressions.impression_id = outcomes.impression_id
