{{ line_outcomes(ref("int_matched_lines")) }}
