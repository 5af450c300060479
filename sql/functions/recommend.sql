-- The list itself. recsys.recommend is the whole of it for any user key; public.recommend_videos adds who may ask.

drop function if exists recsys.recommend(
    text, integer, uuid[], text[], text[], integer, real, text, boolean, boolean
);

create or replace function recsys.recommend(
    user_key text,
    match_count integer default 20,
    exclude_ids uuid[] default '{}',
    with_tags text[] default null,
    without_tags text[] default null,
    max_per_maker integer default null,
    diversity real default 0,
    released_after date default null,
    released_before date default null,
    version text default null,
    explore double precision default 0,
    is_training_cut boolean default false,
    is_exact boolean default false
) returns table (rank integer, video_id uuid, score real, reason text, model_version text, propensity real)
-- stable: every statement inside sees the one snapshot of the calling query, so no list mixes two versions
language plpgsql stable set search_path = ''
as $$
#variable_conflict use_column
declare
    serving constant text := coalesce(version, recsys.active_version());
    filters constant recsys.list_filters := recsys.list_filters(
        with_tags, without_tags, released_after, released_before, max_per_maker
    );
    trade_off constant real := least(greatest(coalesce(nullif(diversity, 'NaN'), 0), 0), 1);
    wanted integer := least(greatest(coalesce(match_count, 20), 0), 100000);
    -- the nearest hundred hold enough variety for a page; beyond 500 the greedy choice costs more than it shows
    pool constant integer := case
        when trade_off > 0 or explore > 0 then greatest(wanted, least(5 * wanted, 500), 100) else wanted
    end;
    met_ids uuid[];
    labels smallint[];
    occurred_ats timestamptz[];
    banned_ids uuid[];
    taste extensions.vector;
    ids uuid[] := '{}';
    scores real[] := '{}';
    chances real[] := '{}';
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
    if taste is null then
        return query
        select listed.place::integer, listed.video_id, listed.score, listed.reason, serving, null::real
        from recsys.popular_and_new(wanted, banned_ids, filters) as listed
        order by listed.place;
        return;
    end if;

    select coalesce(array_agg(nearest.video_id), '{}'), coalesce(array_agg(nearest.similarity), '{}')
    into ids, scores
    from recsys.nearest(serving, taste, pool, banned_ids, filters, is_exact) as nearest;
    if explore > 0 then
        select array_agg(drawn.video_id), array_agg(drawn.score), array_agg(drawn.propensity)
        into ids, scores, chances
        from recsys.explored(user_key, ids, scores, wanted, explore) as drawn;
    end if;
    if trade_off > 0 then
        -- what exploration has chosen stays chosen, and is only put into another order
        select array_agg(chosen.video_id), array_agg(chosen.score), array_agg(chances[array_position(ids, chosen.video_id)])
        into ids, scores, chances
        from recsys.diversified(serving, ids, scores, wanted, trade_off) as chosen;
    end if;
    return query
    select
        listed.place::integer, listed.video_id, listed.score,
        coalesce('similar to "' || liked.title || '", which you liked', 'close to what you liked'),
        serving, listed.chance
    from unnest(ids, scores, chances) with ordinality as listed (video_id, score, chance, place)
    left join recsys.nearest_likes(serving, ids, met_ids, labels, occurred_ats) as liked
        on liked.video_id = listed.video_id
    where listed.video_id is not null
    order by listed.place;

    wanted := wanted - coalesce(cardinality(ids), 0);
    if wanted > 0 then
        return query
        select
            (coalesce(cardinality(ids), 0) + row_number() over ())::integer,
            popular.video_id,
            -- what has no vector yet comes last, and the scores of one list never rise
            least(popular.score, scores[cardinality(scores)]),
            recsys.popularity_reason(popular.n_recent, popular.n_likes),
            serving,
            null::real
        from recsys.popular(wanted, 30, banned_ids || ids, filters, ids) as popular;
    end if;
end;
$$;
comment on function recsys.recommend(
    text, integer, uuid[], text[], text[], integer, real, date, date, text, double precision, boolean, boolean
) is
'Recommendations for a user key (null: a visitor), of the active version unless another is named. explore: share of '
'places drawn at random (recsys.explored). The training cut knows the training rows only, for evaluation; is_exact '
'goes past the index.';

create or replace function recsys.nearest_likes(
    version text, listed_ids uuid[], met_ids uuid[], labels smallint[], occurred_ats timestamptz[]
) returns table (video_id uuid, title text)
language plpgsql stable set search_path = ''
as $$
#variable_conflict use_column
begin
    return query
    with recent_likes as materialized (
        -- the ten latest: what a person remembers, and a bounded number of comparisons
        select latest.video_id, embeddings.embedding
        from (
            select met.video_id
            from unnest(met_ids, labels, occurred_ats) as met (video_id, label, occurred_at)
            where met.label = 1
            order by met.occurred_at desc nulls last, met.video_id
            limit 10
        ) as latest
        inner join recsys.video_embeddings as embeddings
            on embeddings.model_version = version and embeddings.video_id = latest.video_id
    ),

    nearest as (
        select distinct on (listed.video_id) listed.video_id, recent_likes.video_id as liked_id
        from recsys.video_embeddings as listed
        cross join recent_likes
        where listed.model_version = version and listed.video_id = any(listed_ids)
        -- of unit vectors the inner product is the cosine, at a third of the time
        order by
            listed.video_id, recent_likes.embedding operator(extensions.<#>) listed.embedding, recent_likes.video_id
    )

    select nearest.video_id, videos.title::text
    from nearest
    inner join public.videos on videos.id = nearest.liked_id;
end;
$$;
comment on function recsys.nearest_likes(text, uuid[], uuid[], smallint[], timestamptz[]) is
'For each listed video, the title of the most similar of the user''s ten latest likes.';

drop function if exists public.recommend_videos(integer, uuid, uuid[], text[], text[], integer, real);

create or replace function public.recommend_videos(
    match_count integer default 20,
    for_user uuid default null,
    exclude_ids uuid[] default '{}',
    with_tags text[] default null,
    without_tags text[] default null,
    max_per_maker integer default null,
    diversity real default 0,
    released_after date default null,
    released_before date default null
) returns table (rank integer, video_id uuid, score real, reason text, model_version text)
language sql stable security definer set search_path = ''
as $$
    select
        recommended.rank, recommended.video_id, recommended.score, recommended.reason, recommended.model_version
    from (select 'app:' || recsys.asked_user(for_user) as user_key) as asked
    left join lateral recsys.assigned_arm(asked.user_key) as assigned on true
    cross join lateral recsys.recommend(
        asked.user_key, match_count, exclude_ids, with_tags, without_tags, max_per_maker, diversity,
        released_after, released_before, assigned.model_version, coalesce(assigned.explore, 0)
    ) as recommended
    order by recommended.rank
$$;
comment on function public.recommend_videos(integer, uuid, uuid[], text[], text[], integer, real, date, date) is
'Videos for the user who asks, best first: unseen, filtered, always match_count while the catalogue has them. '
'released_after and released_before are the first and last day of release. for_user is for service_role and database '
'owners. Visitors and users without a history get what is popular, and some of what is new.';
