-- A month later: vectors and decisions say which model they come from; one function hides every other version.

alter table public.user_video_decisions add column recommendation_source text;
alter table public.user_video_decisions add column recommendation_score double precision;
alter table public.user_video_decisions add column recommendation_model_version text;
alter table public.user_video_decisions add column recommendation_params jsonb;

alter table public.video_embeddings add column model_version text;
alter table public.user_embeddings add column model_version text;

create function public.get_recommendations(page_limit integer default 20)
returns table (video_id uuid, score double precision)
language sql stable set search_path = public, extensions
as $$
    select
        video_embeddings.video_id,
        1 - (video_embeddings.embedding <-> user_embeddings.embedding) as score
    from public.video_embeddings
    cross join public.user_embeddings
    where user_embeddings.user_id = auth.uid()
        and video_embeddings.model_version = (
            select newest.model_version from public.video_embeddings as newest
            order by newest.updated_at desc nulls last limit 1
        )
    order by video_embeddings.embedding <-> user_embeddings.embedding
    limit page_limit
$$;

insert into supabase_migrations.schema_migrations (version, name, statements)
values ('20250905000000', 'model_version', array['select 1']);
