{{ load_fingerprints("raw", "reviews", "review") }}
union all
{{ load_fingerprints("raw", "decisions", "decision") }}
