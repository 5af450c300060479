-- Why a video stands where it stands. The tower is linear but for relu and the length of the result; for one user
-- both are fixed, so with v the video's vector the score falls apart exactly:
--
--   u . v = g . x + rest,  g = (S' v + H' (m * O' v)) / |z|,  z = S x + s0 + O relu(H x + h0),  m = open relus
--
-- and g . x into one term per like or video only seen (share_i * g_p . h_i), one per dislike, and the aggregates; the
-- rest, from s0 and h0, is the same direction for everybody: what the model holds of popularity. All of that is exact.
-- How a like's term is told is a convention: in equal parts by the liked video itself and each tag it has in common
-- with this one.

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

create or replace function recsys.shared_tags(video uuid, liked_ids uuid[]) returns table (video_id uuid, tag text)
language plpgsql stable set search_path = ''
as $$
begin
    if to_regclass('public.tags') is null or to_regclass('public.video_tags') is null then
        return;
    end if;
    return query
    select liked.video_id, tags.name::text
    from public.video_tags as own
    inner join public.video_tags as liked on liked.tag_id = own.tag_id
    inner join public.tags on tags.id = own.tag_id
    where own.video_id = video and liked.video_id = any(liked_ids);
end;
$$;
comment on function recsys.shared_tags(uuid, uuid[]) is 'The tags each of some videos has in common with a video.';

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
    with pooled as materialized (
        select
            pooled.video_id,
            pooled.label,
            -(
                recsys.scaled(pooled.history_embedding, pooled.share) operator(extensions.<#>)
                extensions.subvector(g, case pooled.label when 0 then dimension + 1 else 1 end, dimension)
            ) as contribution
        from recsys.tower_history(version, met_ids, labels, occurred_ats) as pooled
    ),

    shared as materialized (
        select tags.video_id, tags.tag, 1 + count(*) over (partition by tags.video_id) as n_parts
        from recsys.shared_tags(
            video, (select array_agg(pooled.video_id) from pooled where pooled.label = 1)
        ) as tags
    ),

    terms as (
        select
            case pooled.label when 1 then 'you liked ' when 0 then 'you did not like ' else 'you watched ' end
            || coalesce('"' || videos.title || '"', 'a video that is gone') as reason,
            pooled.video_id as related_video,
            pooled.contribution / coalesce(parts.n_parts, 1) as contribution
        from pooled
        left join (select distinct shared.video_id, shared.n_parts from shared) as parts
            on parts.video_id = pooled.video_id
        left join public.videos on videos.id = pooled.video_id
        union all
        select
            format('tagged "%s", as %s of the videos you liked', shared.tag, count(*)),
            null,
            sum(pooled.contribution / shared.n_parts)
        from shared
        inner join pooled on pooled.video_id = shared.video_id
        group by shared.tag
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
            'what everybody''s list starts from: how popular it is', null,
            (served - (select coalesce(sum(terms.contribution), 0) from terms))::real, 1
    ) as listed
    order by listed.place, abs(listed.contribution) desc, listed.related_video, listed.reason;
end;
$$;
comment on function recsys.explain(text, uuid, text) is
'One row per like, dislike, video seen without an opinion and tag in common with likes, one for the aggregates, one '
'for popularity; the contributions add up to the score that recsys.recommend gives this video. Without a vector of '
'user or video: one row of popularity.';

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
'Why a video is recommended to the user who asks: what each of their likes, and each tag, adds to its score. for_user '
'is for service_role and database owners.';
