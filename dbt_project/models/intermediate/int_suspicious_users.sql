select
    cast(null as text) as user_key,
    cast(null as text) as suspicion_reason
where false
