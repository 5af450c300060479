{{ line_outcomes("") }}
