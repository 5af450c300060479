-- A row returned is a user and video with rows in two splits: what is learned from one would be tested on the other.
select
    fct_interactions.user_key,
    fct_interactions.video_id
from {{ ref("fct_interactions") }} as fct_interactions
group by fct_interactions.user_key, fct_interactions.video_id
having count(*) > 1
