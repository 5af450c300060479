-- An ivfflat index keeps the centroids of the rows it was built on. Built on an empty table, as the app's were, it
-- finds half of what it should, whatever is written later. We say so; rebuilding is for the owner to ask for.

create or replace function recsys.app_ivfflat_indexes() returns table (index_name regclass, n_lists integer)
language sql stable set search_path = ''
as $$
    select
        pg_index.indexrelid::regclass,
        coalesce(
            (
                select option.option_value::integer
                from pg_options_to_table(index_class.reloptions) as option
                where option.option_name = 'lists'
            ),
            100
        )
    from pg_index
    inner join pg_class as index_class on index_class.oid = pg_index.indexrelid
    inner join pg_am on pg_am.oid = index_class.relam
    where
        pg_am.amname = 'ivfflat'
        and pg_index.indrelid in (to_regclass('public.video_embeddings'), to_regclass('public.user_embeddings'))
$$;
comment on function recsys.app_ivfflat_indexes() is
'The ivfflat indexes of the app''s own tables of vectors, whose recall depends on what was there when they were built.';

create or replace function recsys.rebuild_app_indexes() returns text[]
language plpgsql set search_path = ''
as $$
declare
    rebuilt text[] := '{}';
    stale record;
begin
    for stale in select listed.index_name from recsys.app_ivfflat_indexes() as listed loop
        execute format('reindex index %s', stale.index_name);
        rebuilt := rebuilt || stale.index_name::text;
    end loop;
    return rebuilt;
end;
$$;
comment on function recsys.rebuild_app_indexes() is
'Builds the app''s ivfflat indexes anew on the vectors that are there now; its tables cannot be written meanwhile. To '
'be called by whoever owns them, after a first promotion or when the catalogue has changed much.';
