with viewing as (
    select
        stg_app__viewing.app_user_id,
        cast(avg(stg_app__viewing.watched_seconds) as real) as view_time_avg
    from {{ ref("stg_app__viewing") }} as stg_app__viewing
    group by stg_app__viewing.app_user_id
),

sessions as (
    select
        stg_app__sessions.app_user_id,
        -- per week between the first and the last, one week at least
        cast(
            count(*)
            / greatest(
                extract(epoch from max(stg_app__sessions.started_at) - min(stg_app__sessions.started_at)) / 604800, 1
            ) as real
        ) as session_frequency
    from {{ ref("stg_app__sessions") }} as stg_app__sessions
    group by stg_app__sessions.app_user_id
)

select
    coalesce(viewing.app_user_id, sessions.app_user_id) as app_user_id,
    viewing.view_time_avg,
    sessions.session_frequency
from viewing
full join sessions on viewing.app_user_id = sessions.app_user_id
