-- depends_on: {{ ref("int_changed_users") }}
-- A row returned is a number that two users have: build with --vars '{number_seed: 1}', and everybody has another one.
-- A build looks at the users it has made, `dbt test` at everybody.
select int_load_users.user_no
from {{ ref("int_load_users") }} as int_load_users
where true {{ and_has_changed("int_load_users.user_no") }}
group by int_load_users.user_no
having min(coalesce(int_load_users.user_key, '')) != max(coalesce(int_load_users.user_key, ''))
