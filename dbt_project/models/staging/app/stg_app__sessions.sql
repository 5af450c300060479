with user_sessions as (
    select * from {{ optional_relation("app", "user_sessions") }}
)

select
    user_sessions.user_id as app_user_id,
    user_sessions.started_at
from user_sessions
