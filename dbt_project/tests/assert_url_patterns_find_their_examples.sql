-- A row returned is a line of url_patterns whose example an earlier line takes, or none does.
select
    url_patterns.priority,
    url_patterns.example,
    first_match.priority as matched_by
from {{ ref("url_patterns") }} as url_patterns
left join lateral (
    select patterns.priority
    from {{ ref("url_patterns") }} as patterns
    where (regexp_match(url_patterns.example, patterns.pattern, 'i'))[1] != ''
    order by patterns.priority
    limit 1
) as first_match on true
where url_patterns.example != '' and url_patterns.priority is distinct from first_match.priority
