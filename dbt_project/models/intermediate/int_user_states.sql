-- Noted when the marts are there and their tests have passed: until then a user that changed stays changed.
-- depends_on: {{ ref("int_user_outcomes") }}
-- depends_on: {{ ref("fct_interactions") }}
-- depends_on: {{ ref("fct_user_histories") }}
-- depends_on: {{ ref("dim_users") }}
select
    int_user_fingerprints.user_no,
    int_user_fingerprints.fingerprint
from {{ ref("int_user_fingerprints") }} as int_user_fingerprints
