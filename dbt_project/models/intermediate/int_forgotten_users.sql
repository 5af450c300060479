-- depends_on: {{ ref("int_load_states") }}
-- Taken down before int_lines forgets them; int_states clears it when a build is complete.
select distinct int_lines.user_no
from {{ kept_lines() }} as int_lines
where {{ is_stale("int_lines") }}
