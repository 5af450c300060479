-- A row returned is a user and video with rows in two splits: what is learned from one would be tested on the other.
-- Where the primary key stands, Postgres has made sure of it row by row, and nothing is counted again.
with primary_key as (
    select 1 as found
    from pg_catalog.pg_index as keys
    where
        keys.indrelid = pg_catalog.to_regclass('{{ ref("fct_interactions").include(database=false) }}')
        and keys.indisprimary
        and keys.indisvalid
        and (
            select array_agg(cast(columns.attname as text) order by columns.attname)
            from pg_catalog.pg_attribute as columns
            where columns.attrelid = keys.indrelid and columns.attnum = any(keys.indkey)
        ) = array['user_key', 'video_id']
)

select
    fct_interactions.user_key,
    fct_interactions.video_id
from {{ ref("fct_interactions") }} as fct_interactions
where not exists (select primary_key.found from primary_key)
group by fct_interactions.user_key, fct_interactions.video_id
having count(*) > 1
