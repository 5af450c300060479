-- Versions indexed before lists read the longest videos get that index too.
do $$
declare
    partition regclass;
    n_ranked integer;
begin
    for partition, n_ranked in
        select pg_index.indrelid::regclass, pg_attribute.atttypmod
        from pg_index
        inner join pg_opclass on pg_opclass.oid = pg_index.indclass[0]
        inner join pg_attribute on pg_attribute.attrelid = pg_index.indexrelid and pg_attribute.attnum = 1
        inner join pg_inherits on pg_inherits.inhrelid = pg_index.indrelid
        where
            pg_inherits.inhparent = 'recsys.video_embeddings'::regclass and pg_index.indisvalid
            and pg_opclass.opcname like '%\_ip\_ops'
    loop
        execute format('create index on %s (vector_norm(subvector(embedding, 1, %s)) desc)', partition, n_ranked);
    end loop;
end;
$$;
