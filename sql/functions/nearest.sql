-- The videos nearest to a vector in one version, after all filters: through the HNSW index where there is one,
-- exactly where the index came up short.

drop function if exists recsys.has_hnsw(text);
drop function if exists recsys.indexed_type(text);
drop function if exists recsys.videos_with_tags(uuid[], integer);
drop function if exists recsys.nearest_query(text, text, text);
drop function if exists recsys.nearest(
    text, extensions.vector, integer, uuid[], uuid[], uuid[], integer, boolean
);

create or replace function recsys.nearest(
    version text,
    query_embedding extensions.vector,
    match_count integer,
    banned_ids uuid[] default '{}',
    filters recsys.list_filters default null,
    is_exact boolean default false
) returns table (video_id uuid, similarity real)
language plpgsql stable set search_path = ''
as $$
#variable_conflict use_column
declare
    -- Up to this many eligible videos are compared one by one: exact, and about as quick as an index scan that
    -- throws most of what it finds away.
    few constant integer := 5000;
    -- Some more than asked for, so that a video deleted since costs no second scan. With a limit per maker the
    -- nearest are thinned out; five times as many usually leave enough.
    pool bigint := case
        when filters.max_per_maker is null then match_count::bigint + 10 else greatest(5 * match_count::bigint, 100)
    end;
    partition constant text := recsys.partition_of('video_embeddings', version);
    exactly constant text := 'embeddings.embedding operator(extensions.<=>) $1, embeddings.video_id';
    nearest_first text;
    longest_first text;
    filter text := 'embeddings.video_id <> all($2)' || recsys.unwanted_condition('embeddings.video_id', filters);
    -- glance: the longest and a narrow look at the graph; graph: the longest and a wide one; exact: one by one those
    -- that pass the filters, whole: and that are still in the catalogue
    way text := 'exact';
    only_ids uuid[];
    ids uuid[];
    distances double precision[];
    are_long boolean[];
    n_listed constant bigint := case when filters.max_per_maker is null then match_count else pool end;
    n_seen constant integer := least(cardinality(banned_ids), 600);
    n_scanned bigint;
begin
    if match_count < 1 or to_regclass(partition) is null then
        return;
    end if;
    if not is_exact then
        select orders.nearest_first, orders.longest_first
        into nearest_first, longest_first
        from recsys.approximate_order(partition, query_embedding) as orders;
        way := case
            when longest_first is not null then 'glance' when nearest_first is not null then 'graph' else 'exact'
        end;
    end if;
    if recsys.is_narrowed(filters) then
        only_ids := recsys.wanted_videos(filters, few + 1);
        if cardinality(only_ids) <= few then
            way := 'exact';
            filter := filter || ' and embeddings.video_id = any($5)';
        else
            filter := filter || recsys.wanted_condition('embeddings.video_id', filters);
        end if;
    end if;

    if way <> 'exact' then
        -- A trained user has up to 3 % of its square length outside the ranking coordinates: of the best 30, 60, 80,
        -- 100, 200 by those alone, .948 / .985 / .988 / .989 / .993 are the true twenty.
        pool := greatest(pool, match_count + 60);
        -- go on while filters leave the list short, up to hnsw.max_scan_tuples (20,000)
        perform set_config('hnsw.iterative_scan', 'relaxed_order', true);
    end if;
    loop
        if way = 'glance' then
            perform set_config('hnsw.ef_search', least(1000, greatest(40, n_listed))::text, true);
        elsif way = 'graph' then
            -- among videos of one length, in directions at random, a glance finds .82 of the twenty, 100 wide .95, 200
            -- .98; wider where the user has seen much: a second round costs more than a wider first one
            perform set_config('hnsw.ef_search', least(1000, greatest(200, pool + n_seen))::text, true);
        end if;
        execute recsys.nearest_query(
            version, case when way in ('glance', 'graph') then nearest_first else exactly end,
            case when way in ('glance', 'graph') then longest_first end, filter
        )
        into ids, distances, are_long
        using query_embedding, banned_ids, filters, pool, only_ids, case way when 'glance' then n_listed else pool end;
        if
            way = 'glance'
            and cardinality(array_positions(are_long[:n_listed], false)) > greatest(n_listed / 10, 1)
        then
            -- Some others come into the list, and where they are there are more; of few a glance misses next to none.
            way := 'graph';
            continue;
        end if;
        n_scanned := coalesce(cardinality(ids), 0);
        select thinned.ids, thinned.distances
        into ids, distances
        from recsys.thinned(ids, distances, match_count, filters.max_per_maker) as thinned;
        exit when coalesce(cardinality(ids), 0) = match_count or way = 'whole' or way = 'exact' and n_scanned < pool;
        -- Short: the scan hit its bound, the makers were too few, or videos were deleted since. Everything, exactly.
        way := 'whole';
        filter := filter || ' and exists (select from public.videos where videos.id = embeddings.video_id)';
        pool := case when filters.max_per_maker is null then match_count end;
    end loop;
    return query
    select listed.id, (1 - listed.distance)::real
    from unnest(ids, distances) as listed (id, distance);
end;
$$;
comment on function recsys.nearest(
    text, extensions.vector, integer, uuid[], recsys.list_filters, boolean
) is
'The match_count videos of a version nearest to a vector, nearest first, that are still in the catalogue, not banned '
'and pass the filters. Fewer only when there are no more.';

create or replace function recsys.nearest_query(
    version text, ordering text, longest_first text, filter text
) returns text
language sql immutable set search_path = ''
as $$
    -- $1 vector, $2 banned, $3 filters, $4 how many come back, $5 the only ones wanted, $6 how many the ordering gives
    select format(
        $sql$
            select array_agg(nearby.video_id), array_agg(nearby.distance), array_agg(nearby.is_long)
            from (
                select united.video_id, united.distance, bool_or(united.is_long) as is_long
                from (
                    (
                        select
                            embeddings.video_id, false as is_long,
                            embeddings.embedding operator(extensions.<=>) $1 as distance
                        from %1$s as embeddings
                        -- the first column of the key, by which few videos are looked up
                        where embeddings.model_version = %2$L and %3$s
                        order by %4$s
                        limit $6
                    )
                    %5$s
                ) as united
                group by united.video_id, united.distance
                order by united.distance, united.video_id
                limit $4
            ) as nearby
        $sql$,
        listed.partition, version, filter, ordering,
        -- and the longest, whatever they are near to
        case when longest_first is not null then format(
            $sql$
                union all
                (
                    select
                        embeddings.video_id, true as is_long,
                        embeddings.embedding operator(extensions.<=>) $1 as distance
                    from (
                        select embeddings.video_id, embeddings.embedding
                        from %1$s as embeddings
                        order by %2$s
                    ) as embeddings
                    where %3$s
                    order by distance
                    limit $4
                )
            $sql$,
            listed.partition, longest_first, filter
        ) end
    )
    from (select recsys.partition_of('video_embeddings', version) as partition) as listed
$$;
comment on function recsys.nearest_query(text, text, text, text) is
'The text recsys.nearest runs: text, because partition, dimension and the index''s own expression are part of it; '
'and short, because it is planned at every call.';

create or replace function recsys.thinned(
    scanned_ids uuid[], scanned_distances double precision[], match_count integer, max_per_maker integer
) returns table (ids uuid[], distances double precision[])
language plpgsql stable set search_path = ''
as $$
begin
    if max_per_maker is null then
        return query
        select array_agg(listed.id), array_agg(listed.distance)
        from (
            select scanned.id, scanned.distance
            from (
                select found.id, found.distance
                from unnest(scanned_ids, scanned_distances) as found (id, distance)
                order by found.distance, found.id
            ) as scanned
            -- offset 0: looked up one after the other until the list is full, instead of all of them first
            where exists (select from public.videos where videos.id = scanned.id offset 0)
            order by scanned.distance, scanned.id
            limit match_count
        ) as listed;
        return;
    end if;
    return query
    with numbered as (
        select
            scanned.id,
            scanned.distance,
            row_number() over (
                partition by coalesce(videos.maker, scanned.id::text) order by scanned.distance, scanned.id
            ) as place_at_maker
        from unnest(scanned_ids, scanned_distances) as scanned (id, distance)
        inner join public.videos on videos.id = scanned.id
    )

    select array_agg(listed.id), array_agg(listed.distance)
    from (
        select numbered.id, numbered.distance
        from numbered
        where numbered.place_at_maker <= max_per_maker
        order by numbered.distance, numbered.id
        limit match_count
    ) as listed;
end;
$$;
comment on function recsys.thinned(uuid[], double precision[], integer, integer) is
'The nearest of what a scan found that are still in the catalogue, so many of one maker at most, in order.';
