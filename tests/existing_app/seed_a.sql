-- The app at the date of the training guide: vectors of 256 dimensions, decisions keyed by user and video.

create table public.videos (
    id uuid primary key default gen_random_uuid(),
    external_id text unique,
    title text not null,
    description text,
    duration_seconds integer,
    thumbnail_url text,
    preview_video_url text,
    distribution_code text,
    maker_code text,
    director text,
    series text,
    maker text,
    label text,
    price numeric,
    distribution_started_at timestamptz,
    product_released_at timestamptz,
    sample_video_url text,
    image_urls text[],
    source text not null,
    published_at timestamptz,
    product_url text,
    created_at timestamptz default now(),
    unique (source, distribution_code, maker_code)
);

create table public.tag_groups (
    id uuid primary key default gen_random_uuid(),
    name text not null
);
create table public.tags (
    id uuid primary key default gen_random_uuid(),
    name text not null unique,
    tag_group_id uuid references public.tag_groups (id)
);
create table public.video_tags (
    video_id uuid references public.videos (id) on delete cascade,
    tag_id uuid references public.tags (id) on delete cascade,
    primary key (video_id, tag_id)
);
create table public.performers (
    id uuid primary key default gen_random_uuid(),
    name text not null,
    fanza_actress_id text unique
);
create table public.video_performers (
    video_id uuid references public.videos (id) on delete cascade,
    performer_id uuid references public.performers (id) on delete cascade,
    primary key (video_id, performer_id)
);

create table public.profiles (
    user_id uuid primary key references auth.users (id) on delete cascade,
    display_name text,
    created_at timestamptz default now()
);

create table public.user_video_decisions (
    user_id uuid not null references auth.users (id) on delete cascade,
    video_id uuid not null references public.videos (id) on delete cascade,
    decision_type text not null,
    created_at timestamptz default now(),
    primary key (user_id, video_id)
);

create table public.video_embeddings (
    video_id uuid primary key references public.videos (id) on delete cascade,
    embedding extensions.vector(256),
    updated_at timestamptz default now()
);
create index video_embeddings_cosine_idx on public.video_embeddings
using ivfflat (embedding extensions.vector_cosine_ops) with (lists = 100);

create table public.user_embeddings (
    user_id uuid primary key references auth.users (id) on delete cascade,
    embedding extensions.vector(256),
    updated_at timestamptz default now()
);
create index user_embeddings_cosine_idx on public.user_embeddings
using ivfflat (embedding extensions.vector_cosine_ops) with (lists = 100);

create materialized view public.video_popularity_daily as
select
    video_id,
    date_trunc('day', created_at)::date as d,
    count(*) as likes
from public.user_video_decisions
where decision_type = 'like'
group by video_id, date_trunc('day', created_at)::date;

alter table public.videos enable row level security;
alter table public.tags enable row level security;
alter table public.tag_groups enable row level security;
alter table public.video_tags enable row level security;
alter table public.performers enable row level security;
alter table public.video_performers enable row level security;
alter table public.profiles enable row level security;
alter table public.user_video_decisions enable row level security;
alter table public.video_embeddings enable row level security;
alter table public.user_embeddings enable row level security;

create policy videos_are_readable on public.videos for select using (true);
create policy tags_are_readable on public.tags for select using (true);
create policy tag_groups_are_readable on public.tag_groups for select using (true);
create policy video_tags_are_readable on public.video_tags for select using (true);
create policy performers_are_readable on public.performers for select using (true);
create policy video_performers_are_readable on public.video_performers for select using (true);
create policy own_profile on public.profiles for all using (auth.uid() = user_id);
create policy own_decisions on public.user_video_decisions for all using (auth.uid() = user_id);
create policy video_vectors_are_readable on public.video_embeddings for select using (true);
create policy own_vector_read on public.user_embeddings for select using (auth.uid() = user_id);
create policy own_vector_update on public.user_embeddings for update using (auth.uid() = user_id);

create schema supabase_migrations;
create table supabase_migrations.schema_migrations (version text not null primary key);
alter table supabase_migrations.schema_migrations add column statements text[];
alter table supabase_migrations.schema_migrations add column name text;
insert into supabase_migrations.schema_migrations (version, name, statements)
values ('20250805000000', 'app', array['select 1']);
