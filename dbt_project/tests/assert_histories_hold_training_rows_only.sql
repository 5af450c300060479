-- depends_on: {{ ref("int_changed_users") }}
-- A row returned is a val or test row whose video stands in its own user's history. A build looks at the users it has made:
-- of the others nothing was written since they were looked at. `dbt test` looks at everybody.
select
    fct_interactions.user_key,
    fct_interactions.video_id,
    fct_interactions.split
from {{ ref("fct_interactions") }} as fct_interactions
inner join {{ ref("fct_user_histories") }} as fct_user_histories
    on fct_interactions.user_key = fct_user_histories.user_key
where
    fct_interactions.split in ('val', 'test')
    and (
        fct_interactions.video_id = any(fct_user_histories.liked_video_ids)
        or fct_interactions.video_id = any(fct_user_histories.disliked_video_ids)
    )
    {{ and_has_changed("fct_interactions.user_key", key="user_key") }}
