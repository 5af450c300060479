-- depends_on: {{ ref("int_changed_users") }}
{{ line_outcomes("(" ~ matched_lines(changed_users(), half=2) ~ ")") }}
