-- Why a video stands where it stands. The tower is linear but for relu and the length of the result; for one user
-- both are fixed, so with v the video's vector the score falls apart exactly:
--
--   u . v = g . x + rest,  g = (S' v + H' (m * O' v)) / |z|,  z = S x + s0 + O relu(H x + h0),  m = open relus
--
-- and g . x into one term per like (share_i * g_p . h_i), one per dislike, and the aggregates.

create or replace function recsys.score_gradient(
    version text, x extensions.vector, embedding extensions.vector
) returns extensions.vector
language plpgsql stable strict set search_path = ''
as $$
declare
    v constant real[] := embedding::real[];
    gradient extensions.vector;
    through_output real[];
begin
    select extensions.sum(recsys.scaled(tower.weights, v[tower.unit + 1]))
    into gradient
    from recsys.user_tower as tower
    where tower.model_version = score_gradient.version and tower.layer = 'skip';
    select extensions.sum(recsys.scaled(tower.weights, v[tower.unit + 1]))::real[]
    into through_output
    from recsys.user_tower as tower
    where tower.model_version = score_gradient.version and tower.layer = 'output';
    if through_output is not null then
        select gradient operator(extensions.+) coalesce(
            extensions.sum(recsys.scaled(tower.weights, through_output[tower.unit + 1]))
                filter (where tower.bias - (tower.weights operator(extensions.<#>) x) > 0),
            recsys.scaled(x, 0)
        )
        into gradient
        from recsys.user_tower as tower
        where tower.model_version = score_gradient.version and tower.layer = 'hidden';
    end if;
    return recsys.scaled(gradient, 1 / extensions.vector_norm(recsys.tower_direction(version, x)));
end;
$$;
comment on function recsys.score_gradient(text, extensions.vector, extensions.vector) is
'g: what each number of the tower''s input adds to the score of one video, per unit of it.';

create or replace function recsys.explain(user_key text, video uuid, version text)
returns table (reason text, related_video uuid, contribution real)
language plpgsql stable set search_path = ''
as $$
declare
    met_ids uuid[];
    labels smallint[];
    occurred_ats timestamptz[];
    x extensions.vector;
    g extensions.vector;
    served real;
    dimension integer;
    v extensions.vector;
begin
    select array_agg(met.video_id), array_agg(met.label), array_agg(met.occurred_at)
    into met_ids, labels, occurred_ats
    from recsys.user_videos(user_key) as met;
    select stored.embedding, extensions.vector_dims(stored.embedding)
    into v, dimension
    from recsys.video_embeddings as stored
    where stored.model_version = version and stored.video_id = video;
    x := recsys.tower_input(version, met_ids, labels, occurred_ats);
    g := recsys.score_gradient(version, x, v);
    if g is null then
        return query
        select recsys.popularity_reason(counts.n_recent, counts.n_likes), null::uuid, counts.score
        from recsys.popularity_of(video) as counts;
        return;
    end if;
    served := (
        1 - (v operator(extensions.<=>) recsys.served_user_vector(user_key, version, met_ids, labels, occurred_ats))
    )::real;

    return query
    with terms as (
        select
            case pooled.label when 1 then 'you liked ' else 'you did not like ' end
            || coalesce('"' || videos.title || '"', 'a video that is gone') as reason,
            pooled.video_id as related_video,
            -(
                recsys.scaled(pooled.history_embedding, pooled.share) operator(extensions.<#>)
                extensions.subvector(g, case pooled.label when 1 then 1 else dimension + 1 end, dimension)
            ) as contribution
        from recsys.pooled_history(version, met_ids, labels, occurred_ats) as pooled
        left join public.videos on videos.id = pooled.video_id
        union all
        select
            'how much you rate, and the usual price, length and year of what you like',
            null,
            -(
                extensions.subvector(g, 2 * dimension + 1, extensions.vector_dims(x) - 2 * dimension)
                operator(extensions.<#>)
                extensions.subvector(x, 2 * dimension + 1, extensions.vector_dims(x) - 2 * dimension)
            )
        where extensions.vector_dims(x) > 2 * dimension
    )

    select listed.reason, listed.related_video, listed.contribution
    from (
        select terms.reason, terms.related_video, terms.contribution::real as contribution, 0 as place from terms
        union all
        select
            'what everybody''s vector starts from', null,
            (served - (select coalesce(sum(terms.contribution), 0) from terms))::real, 1
    ) as listed
    order by listed.place, abs(listed.contribution) desc, listed.related_video;
end;
$$;
comment on function recsys.explain(text, uuid, text) is
'One row per like and dislike, one for the aggregates, one for the rest; the contributions add up to the score that '
'recsys.recommend gives this video. Without a vector of user or video: one row of popularity.';

create or replace function public.explain_recommendation(video uuid, for_user uuid default null)
returns table (reason text, related_video uuid, contribution real)
language sql stable security definer set search_path = ''
as $$
    select explained.reason, explained.related_video, explained.contribution
    from (select 'app:' || recsys.asked_user(for_user) as user_key) as asked
    cross join lateral recsys.explain(
        asked.user_key, video, coalesce(recsys.experiment_version(asked.user_key), recsys.active_version())
    ) as explained
$$;
comment on function public.explain_recommendation(uuid, uuid) is
'Why a video is recommended to the user who asks: what each of their likes adds to its score. for_user is for '
'service_role and database owners.';
