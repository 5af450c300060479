-- Later still: half-precision vectors of 128 dimensions, decisions of visitors without an account, profiles a view.

alter table public.videos add column thumbnail_vertical_url text;
alter table public.videos add column affiliate_url text;
alter table public.videos add column has_performer boolean not null default false;

alter table public.tag_groups add column use_for_training boolean not null default true;
alter table public.tag_groups add column show_in_ui boolean not null default true;

drop materialized view public.video_popularity_daily;
drop table public.user_video_decisions;
create table public.user_video_decisions (
    id uuid primary key default gen_random_uuid(),
    user_id uuid not null references auth.users (id) on delete cascade,
    anonymous_session_id text,
    video_id uuid references public.videos (id) on delete set null,
    decision_type text not null
    check (decision_type in ('swipe_like', 'swipe_nope', 'grid_like', 'grid_nope')),
    surface text,
    recommendation_source text,
    recommendation_score double precision,
    recommendation_model_version text,
    recommendation_params jsonb,
    created_at timestamptz default now(),
    unique (user_id, video_id)
);
alter table public.user_video_decisions enable row level security;
create policy own_decisions on public.user_video_decisions for all using (auth.uid() = user_id);

create materialized view public.video_popularity_daily as
select
    video_id,
    date_trunc('day', created_at)::date as d,
    count(*) as likes
from public.user_video_decisions
where decision_type like '%like'
group by video_id, date_trunc('day', created_at)::date;

drop table public.profiles;
create view public.profiles with (security_invoker = true) as
select
    id as user_id,
    created_at,
    raw_user_meta_data ->> 'display_name' as display_name
from auth.users;

drop index public.video_embeddings_cosine_idx;
drop index public.user_embeddings_cosine_idx;
truncate public.video_embeddings, public.user_embeddings;
alter table public.video_embeddings alter column embedding type extensions.halfvec(128) using null;
alter table public.user_embeddings alter column embedding type extensions.halfvec(128) using null;
create index video_embeddings_hnsw_idx on public.video_embeddings
using hnsw (embedding extensions.halfvec_cosine_ops);
create index user_embeddings_hnsw_idx on public.user_embeddings
using hnsw (embedding extensions.halfvec_cosine_ops);

insert into supabase_migrations.schema_migrations (version, name, statements)
values ('20251205000000', 'half_vectors', array['select 1']);
