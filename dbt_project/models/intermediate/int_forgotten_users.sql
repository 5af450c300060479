-- depends_on: {{ ref("int_load_states") }}
-- Taken down before int_lines forgets them; int_states clears it when a build is complete.
select distinct
    load_users.user_no,
    load_users.user_key
from {{ kept_load_users() }} as load_users
where {{ is_stale("load_users") }}
