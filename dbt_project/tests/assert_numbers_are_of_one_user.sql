-- A row returned is a number that two users have: build with --vars '{number_seed: 1}', and everybody has another one.
select int_load_users.user_no
from {{ ref("int_load_users") }} as int_load_users
group by int_load_users.user_no
having min(coalesce(int_load_users.user_key, '')) != max(coalesce(int_load_users.user_key, ''))
