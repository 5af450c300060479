{{ matched_lines() }}
