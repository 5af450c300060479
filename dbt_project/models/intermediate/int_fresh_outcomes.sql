-- depends_on: {{ ref("int_changed_users") }}
{{ line_outcomes(and_has_changed("int_matched_lines.user_no")) }}
