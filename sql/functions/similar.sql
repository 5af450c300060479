-- Neighbours of a video, and of any vector.

create or replace function public.similar_videos(video uuid, match_count integer default 20)
returns table (video_id uuid, similarity real)
language sql stable security definer set search_path = ''
as $$
    select nearest.video_id, nearest.similarity
    from recsys.video_embeddings as embeddings
    cross join lateral recsys.nearest(
        embeddings.model_version, embeddings.embedding, least(coalesce(match_count, 20), 100000), array[video]
    ) as nearest
    where embeddings.model_version = recsys.active_version() and embeddings.video_id = video
$$;
comment on function public.similar_videos(uuid, integer) is
'The videos most similar to this one, nearest first; none before a version has a vector for it.';

create or replace function public.match_videos(
    query_embedding extensions.vector, match_count integer default 20, min_similarity real default null
) returns table (video_id uuid, similarity real)
language plpgsql stable security definer set search_path = ''
as $$
begin
    if extensions.vector_norm(query_embedding) = 0 then
        raise exception 'a vector of zeros has no direction to match' using
            errcode = 'data_exception', hint = 'pass a vector of the active version, of any length above 0';
    end if;
    return query
    select nearest.video_id, nearest.similarity
    from recsys.nearest(recsys.active_version(), query_embedding, least(coalesce(match_count, 20), 100000)) as nearest
    where min_similarity is null or nearest.similarity >= min_similarity;
end;
$$;
comment on function public.match_videos(extensions.vector, integer, real) is
'The videos nearest to a vector of the active version''s dimension, by cosine; another dimension is error 22000.';
