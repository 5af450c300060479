-- The user tower as arithmetic: the vector PyTorch and ONNX compute, from rows, to within 1e-4.
--
--   p = Σ w_i h_i / (Σ w_i) ^ pooling_exponent over the newest likes and, each at seen_weight, over what was seen
--   without an opinion (label -1, with places of its own), q the same over dislikes,
--   w_i = place ^ -recency_power * 0.5 ^ (days before the newest one / half_life_days), place 1 the newest,
--   x = [p; q; aggregates],
--   u = normalise(S x + s0 + O relu(H x + h0))

create or replace function recsys.scaled(v extensions.vector, factor double precision) returns extensions.vector
language plpgsql immutable strict parallel safe set search_path = ''
as $$
begin
    -- pgvector multiplies element by element only
    return v operator(extensions.*) array_fill(factor::real, array[extensions.vector_dims(v)])::extensions.vector;
end;
$$;
comment on function recsys.scaled(extensions.vector, double precision) is 'factor times v.';

drop function if exists recsys.pooled_history(text, uuid[], smallint[], timestamptz[]);
drop function if exists recsys.weighted_history(text, uuid[], smallint[], timestamptz[]);

create or replace function recsys.tower_history(
    version text, video_ids uuid[], labels smallint[], occurred_ats timestamptz[]
) returns table (
    video_id uuid, label smallint, place bigint, weight double precision, share double precision,
    history_embedding extensions.vector
)
language plpgsql stable set search_path = ''
as $$
#variable_conflict use_column
declare
    model record;
begin
    select
        (registry.config #>> '{history,max_likes}')::bigint as max_likes,
        (registry.config #>> '{history,max_dislikes}')::bigint as max_dislikes,
        coalesce((registry.config #>> '{history,pooling_exponent}')::double precision, 1) as exponent,
        (registry.config #>> '{history,half_life_days}')::double precision as half_life_days,
        coalesce((registry.config #>> '{history,recency_power}')::double precision, 0) as recency_power,
        coalesce((registry.config #>> '{history,seen_weight}')::double precision, 0) as seen_weight
    into model
    from recsys.embedding_model_versions as registry
    where registry.version = tower_history.version;

    return query
    with event as (
        select
            event.video_id,
            event.label,
            event.occurred_at,
            row_number() over (
                partition by event.label order by event.occurred_at desc nulls last, event.video_id
            ) as place,
            max(event.occurred_at) over (partition by event.label) as newest_at
        from unnest(video_ids, labels, occurred_ats) as event (video_id, label, occurred_at)
        where event.label in (0, 1) or (event.label = -1 and model.seen_weight > 0)
    ),

    weighted as (
        select
            event.video_id,
            event.label,
            event.place,
            embeddings.history_embedding,
            case event.label when -1 then model.seen_weight else 1 end
            * power(event.place::double precision, -model.recency_power)
            * case
                when event.occurred_at is null or model.half_life_days is null then 1
                else power(
                    0.5::double precision,
                    extract(epoch from event.newest_at - event.occurred_at)::double precision
                    / 86400 / model.half_life_days
                )
            end as weight
        from event
        -- a video younger than the version has no vector in it yet
        inner join recsys.video_embeddings as embeddings
            on embeddings.model_version = tower_history.version and embeddings.video_id = event.video_id
        where event.place <= case event.label when 0 then model.max_dislikes else model.max_likes end
    )

    select
        weighted.video_id,
        weighted.label,
        weighted.place,
        weighted.weight,
        weighted.weight / power(sum(weighted.weight) over (partition by weighted.label = 0), model.exponent),
        weighted.history_embedding
    from (select weighted.*, bool_or(weighted.label = 1) over () as has_like from weighted) as weighted
    -- what was only seen speaks beside likes, not in their place
    where weighted.label <> -1 or weighted.has_like;
end;
$$;
comment on function recsys.tower_history(text, uuid[], smallint[], timestamptz[]) is
'One row per like, dislike and video only seen that the tower reads: its place (1: the newest), its weight w_i, the '
'share w_i / (Σ w) ^ pooling_exponent with which it enters the sum, its history vector.';

create or replace function recsys.tower_input(
    version text, video_ids uuid[], labels smallint[], occurred_ats timestamptz[]
) returns extensions.vector
language plpgsql stable set search_path = ''
as $$
declare
    likes extensions.vector;
    dislikes extensions.vector;
    liked_ids uuid[];
    n_dislikes bigint;
    dimension integer;
    aggregates real[];
    wanted jsonb;
begin
    select registry.embedding_dim, registry.config -> 'aggregates'
    into dimension, wanted
    from recsys.embedding_model_versions as registry
    where registry.version = tower_input.version;
    with pooled as materialized (
        select * from recsys.tower_history(version, video_ids, labels, occurred_ats)
    ),

    -- equal shares are summed before they are scaled: without a half-life that is all of them, at a third of the time
    shared as (
        select
            pooled.label = 0 as is_disliked,
            recsys.scaled(extensions.sum(pooled.history_embedding), pooled.share) as vector
        from pooled
        group by pooled.label = 0, pooled.share
    )

    select
        (select extensions.sum(shared.vector) from shared where not shared.is_disliked),
        (select extensions.sum(shared.vector) from shared where shared.is_disliked),
        array_agg(pooled.video_id) filter (where pooled.label = 1),
        count(*) filter (where pooled.label = 0)
    into likes, dislikes, liked_ids, n_dislikes
    from pooled;
    if likes is null then
        return null;
    end if;

    likes := likes operator(extensions.||)
        coalesce(dislikes, array_fill(0::real, array[dimension])::extensions.vector);
    aggregates := recsys.user_aggregates(wanted, liked_ids, n_dislikes);
    if cardinality(aggregates) = 0 then
        return likes;  -- a vector of no dimensions does not exist
    end if;
    return likes operator(extensions.||) aggregates::extensions.vector;
end;
$$;
comment on function recsys.tower_input(text, uuid[], smallint[], timestamptz[]) is
'x = [p; q; aggregates] of one user''s history; null without a like the version has a vector for.';

create or replace function recsys.tower_direction(version text, x extensions.vector) returns extensions.vector
language plpgsql stable strict set search_path = ''
as $$
declare
    hidden extensions.vector;
    direct extensions.vector;
begin
    select
        array_agg(tower.bias - (tower.weights operator(extensions.<#>) x) order by tower.unit)
            filter (where tower.layer = 'skip'),
        array_agg(greatest(0, tower.bias - (tower.weights operator(extensions.<#>) x)) order by tower.unit)
            filter (where tower.layer = 'hidden')
    into direct, hidden
    from recsys.user_tower as tower
    where tower.model_version = tower_direction.version and tower.layer in ('skip', 'hidden');
    if hidden is not null then
        select direct operator(extensions.+)
            array_agg(-(tower.weights operator(extensions.<#>) hidden) order by tower.unit)::extensions.vector
        into direct
        from recsys.user_tower as tower
        where tower.model_version = tower_direction.version and tower.layer = 'output';
    end if;
    return direct;
end;
$$;
comment on function recsys.tower_direction(text, extensions.vector) is 'S x + s0 + O relu(H x + h0), of any length.';

create or replace function recsys.tower_output(version text, x extensions.vector) returns extensions.vector
language plpgsql stable strict set search_path = ''
as $$
declare
    direction constant extensions.vector := recsys.tower_direction(version, x);
begin
    return case when extensions.vector_norm(direction) > 0 then extensions.l2_normalize(direction) end;
end;
$$;
comment on function recsys.tower_output(text, extensions.vector) is 'u: the unit vector the tower makes of x.';

create or replace function recsys.user_vector(
    user_key text, version text default null, is_training_cut boolean default false
) returns extensions.vector
language plpgsql stable set search_path = ''
as $$
declare
    wanted constant text := coalesce(version, recsys.active_version());
    x extensions.vector;
begin
    select recsys.tower_input(
        wanted, array_agg(met.video_id), array_agg(met.label), array_agg(met.occurred_at)
    )
    into x
    from recsys.user_videos(user_key, is_training_cut) as met
    where met.label is not null;
    return recsys.tower_output(wanted, x);
end;
$$;
comment on function recsys.user_vector(text, text, boolean) is
'A user''s unit vector, computed now from the likes in the tables and the weights in recsys.user_tower; null '
'without a like. Of the active version unless another is named.';

create or replace function recsys.served_user_vector(
    user_key text, version text, video_ids uuid[], labels smallint[], occurred_ats timestamptz[]
) returns extensions.vector
language plpgsql stable set search_path = ''
as $$
declare
    stored extensions.vector;
begin
    select embeddings.embedding
    into stored
    from recsys.user_embeddings as embeddings
    where
        embeddings.model_version = served_user_vector.version
        and embeddings.user_key = served_user_vector.user_key
        and embeddings.history_hash = recsys.history_hash(video_ids, labels, occurred_ats);
    return coalesce(
        stored,
        recsys.tower_output(version, recsys.tower_input(version, video_ids, labels, occurred_ats))
    );
end;
$$;
comment on function recsys.served_user_vector(text, text, uuid[], smallint[], timestamptz[]) is
'The stored vector when it was computed from exactly this history, else one computed now.';
