-- The list itself. recsys.recommend is the whole of it for any user key; public.recommend_videos adds who may ask.

create or replace function recsys.recommend(
    user_key text,
    match_count integer default 20,
    exclude_ids uuid[] default '{}',
    with_tags text[] default null,
    without_tags text[] default null,
    max_per_maker integer default null,
    diversity real default 0,
    version text default null,
    is_training_cut boolean default false,
    is_exact boolean default false
) returns table (rank integer, video_id uuid, score real, reason text, model_version text)
-- stable: every statement inside sees the one snapshot of the calling query, so no list mixes two versions
language plpgsql stable set search_path = ''
as $$
#variable_conflict use_column
declare
    serving constant text := coalesce(version, recsys.active_version());
    with_tag_ids constant uuid[] := recsys.tag_ids(with_tags);
    without_tag_ids constant uuid[] := recsys.tag_ids(without_tags);
    maker_limit constant integer := case when max_per_maker > 0 then max_per_maker end;
    trade_off constant real := least(greatest(coalesce(nullif(diversity, 'NaN'), 0), 0), 1);
    wanted integer := least(greatest(coalesce(match_count, 20), 0), 100000);
    -- the nearest hundred hold enough variety for a page; beyond 500 the greedy choice costs more than it shows
    pool constant integer := case when trade_off > 0 then greatest(wanted, least(5 * wanted, 500), 100) else wanted end;
    met_ids uuid[];
    labels smallint[];
    occurred_ats timestamptz[];
    banned_ids uuid[];
    taste extensions.vector;
    ids uuid[] := '{}';
    scores real[] := '{}';
begin
    if user_key is not null then
        select array_agg(met.video_id), array_agg(met.label), array_agg(met.occurred_at)
        into met_ids, labels, occurred_ats
        from recsys.user_videos(user_key, is_training_cut) as met;
        if serving is not null then
            taste := recsys.served_user_vector(user_key, serving, met_ids, labels, occurred_ats);
        end if;
    end if;
    banned_ids := coalesce(met_ids, '{}') || array_remove(exclude_ids, null);

    if taste is not null then
        select coalesce(array_agg(nearest.video_id), '{}'), coalesce(array_agg(nearest.similarity), '{}')
        into ids, scores
        from recsys.nearest(
            serving, taste, pool, banned_ids, with_tag_ids, without_tag_ids, maker_limit, is_exact
        ) as nearest;
        if trade_off > 0 then
            select array_agg(chosen.video_id order by chosen.place), array_agg(chosen.score order by chosen.place)
            into ids, scores
            from recsys.diversified(serving, ids, scores, wanted, trade_off) as chosen;
        end if;
        return query
        select
            listed.place::integer, listed.video_id, listed.score,
            coalesce('similar to "' || liked.title || '", which you liked', 'close to what you liked'),
            serving
        from unnest(ids, scores) with ordinality as listed (video_id, score, place)
        left join recsys.nearest_likes(serving, ids, met_ids, labels, occurred_ats) as liked
            on liked.video_id = listed.video_id
        order by listed.place;
    end if;

    wanted := wanted - coalesce(cardinality(ids), 0);
    if wanted > 0 then
        return query
        select
            (coalesce(cardinality(ids), 0) + row_number() over ())::integer,
            popular.video_id,
            -- what has no vector yet comes last, and the scores of one list never rise
            least(popular.score, scores[cardinality(scores)]),
            recsys.popularity_reason(popular.n_recent, popular.n_likes),
            serving
        from recsys.popular(
            wanted, 30, banned_ids || ids, with_tag_ids, without_tag_ids, maker_limit, ids
        ) as popular;
    end if;
end;
$$;
comment on function recsys.recommend(
    text, integer, uuid[], text[], text[], integer, real, text, boolean, boolean
) is
'Recommendations for a user key (null: a visitor), of the active version unless another is named. The training cut '
'knows the training rows only, for evaluation; is_exact goes past the index.';

create or replace function recsys.nearest_likes(
    version text, listed_ids uuid[], met_ids uuid[], labels smallint[], occurred_ats timestamptz[]
) returns table (video_id uuid, title text)
language sql stable set search_path = ''
as $$
    with recent_likes as materialized (
        -- the ten latest: what a person remembers, and a bounded number of comparisons
        select embeddings.video_id, embeddings.embedding
        from unnest(met_ids, labels, occurred_ats) as met (video_id, label, occurred_at)
        inner join recsys.video_embeddings as embeddings
            on embeddings.model_version = version and embeddings.video_id = met.video_id
        where met.label = 1
        order by met.occurred_at desc nulls last, met.video_id
        limit 10
    )

    select listed.video_id, videos.title
    from recsys.video_embeddings as listed
    cross join lateral (
        select recent_likes.video_id
        from recent_likes
        order by recent_likes.embedding operator(extensions.<=>) listed.embedding, recent_likes.video_id
        limit 1
    ) as nearest
    inner join public.videos on videos.id = nearest.video_id
    where listed.model_version = version and listed.video_id = any(listed_ids)
$$;
comment on function recsys.nearest_likes(text, uuid[], uuid[], smallint[], timestamptz[]) is
'For each listed video, the title of the most similar of the user''s ten latest likes.';

create or replace function recsys.diversified(
    version text, candidate_ids uuid[], scores real[], wanted integer, trade_off real
) returns table (video_id uuid, score real, place integer)
language plpgsql stable set search_path = ''
as $$
declare
    embeddings extensions.vector[];
    likeness real[] := array_fill(-1::real, array[cardinality(candidate_ids)]);
    is_open boolean[] := array_fill(true, array[cardinality(candidate_ids)]);
    best integer;
begin
    select array_agg(stored.embedding order by candidate.place)
    into embeddings
    from unnest(candidate_ids) with ordinality as candidate (id, place)
    inner join recsys.video_embeddings as stored
        on stored.model_version = version and stored.video_id = candidate.id;

    for step in 1 .. least(wanted, cardinality(candidate_ids)) loop
        -- Carbonell & Goldstein 1998: relevance against likeness to what already stands in the list
        select candidate.place
        into best
        from unnest(scores, likeness, is_open) with ordinality as candidate (score, likeness, is_open, place)
        where candidate.is_open
        order by
            (1 - trade_off) * candidate.score
            - case when step = 1 then 0 else trade_off * candidate.likeness end desc,
            candidate.place
        limit 1;
        video_id := candidate_ids[best];
        score := scores[best];
        place := step;
        return next;
        is_open[best] := false;
        select array_agg(
            greatest(seen.likeness, (1 - (seen.embedding operator(extensions.<=>) embeddings[best]))::real)
            order by seen.place
        )
        into likeness
        from unnest(likeness, embeddings) with ordinality as seen (likeness, embedding, place);
    end loop;
end;
$$;
comment on function recsys.diversified(text, uuid[], real[], integer, real) is
'Maximal marginal relevance: wanted of the candidates, each chosen for (1 - trade_off) * score - trade_off * its '
'greatest similarity to those before it.';

create or replace function public.recommend_videos(
    match_count integer default 20,
    for_user uuid default null,
    exclude_ids uuid[] default '{}',
    with_tags text[] default null,
    without_tags text[] default null,
    max_per_maker integer default null,
    diversity real default 0
) returns table (rank integer, video_id uuid, score real, reason text, model_version text)
language sql stable security definer set search_path = ''
as $$
    select recommended.rank, recommended.video_id, recommended.score, recommended.reason, recommended.model_version
    from (select 'app:' || recsys.asked_user(for_user) as user_key) as asked
    cross join lateral recsys.recommend(
        asked.user_key, match_count, exclude_ids, with_tags, without_tags, max_per_maker, diversity,
        recsys.experiment_version(asked.user_key)
    ) as recommended
    order by recommended.rank
$$;
comment on function public.recommend_videos(integer, uuid, uuid[], text[], text[], integer, real) is
'Videos for the user who asks, best first: unseen, filtered, always match_count while the catalogue has them. '
'for_user is for service_role and database owners. Visitors and users without a history get what is popular.';
