-- The app's tables, each only where the app has none. What is created is noted in recsys.settings, because
-- policies and grants (sql/access) are for these alone.

create function recsys.create_where_missing(relation text, definition text) returns void
language plpgsql set search_path = ''
as $$
begin
    if pg_catalog.to_regclass(relation) is not null then
        return;
    end if;
    execute definition;
    update recsys.settings
    set value = settings.value || pg_catalog.to_jsonb(relation), updated_at = pg_catalog.now()
    where settings.key = 'created_objects';
end;
$$;
comment on function recsys.create_where_missing(text, text) is
'Runs a definition when its relation is not there, and notes in recsys.settings that we created it.';

select recsys.create_where_missing('public.videos', $sql$
    create table public.videos (
        id uuid primary key default gen_random_uuid(),
        external_id text unique,
        title text not null,
        description text,
        maker text,
        label text,
        series text,
        director text,
        genre text,
        price numeric,
        duration_seconds integer,
        product_released_at timestamptz,
        product_url text,
        source text not null default 'catalogue',
        created_at timestamptz not null default now()
    )
$sql$);

select recsys.create_where_missing('public.tag_groups', $sql$
    create table public.tag_groups (
        id uuid primary key default gen_random_uuid(),
        name text not null unique,
        use_for_training boolean not null default true,
        created_at timestamptz not null default now()
    )
$sql$);

select recsys.create_where_missing('public.tags', $sql$
    create table public.tags (
        id uuid primary key default gen_random_uuid(),
        name text not null unique,
        tag_group_id uuid references public.tag_groups (id) on delete set null,
        created_at timestamptz not null default now()
    )
$sql$);

select recsys.create_where_missing('public.video_tags', $sql$
    create table public.video_tags (
        video_id uuid not null references public.videos (id) on delete cascade,
        tag_id uuid not null references public.tags (id) on delete cascade,
        primary key (video_id, tag_id)
    )
$sql$);

select recsys.create_where_missing('public.performers', $sql$
    create table public.performers (
        id uuid primary key default gen_random_uuid(),
        name text not null,
        created_at timestamptz not null default now()
    )
$sql$);

select recsys.create_where_missing('public.video_performers', $sql$
    create table public.video_performers (
        video_id uuid not null references public.videos (id) on delete cascade,
        performer_id uuid not null references public.performers (id) on delete cascade,
        primary key (video_id, performer_id)
    )
$sql$);

-- No foreign key to auth.users: where we run alone, a user needs no row there.
select recsys.create_where_missing('public.user_video_decisions', $sql$
    create table public.user_video_decisions (
        user_id uuid not null,
        video_id uuid not null references public.videos (id) on delete cascade,
        decision_type text not null,
        created_at timestamptz not null default now(),
        primary key (user_id, video_id)
    )
$sql$);

-- The other side of each foreign key, for cascades and "who has this tag"; on tables we created only.
do $$
declare
    index_on record;
begin
    for index_on in
        select *
        from (
            values
            ('public.tags', 'tags_tag_group_id_idx', 'tag_group_id'),
            ('public.video_tags', 'video_tags_tag_id_idx', 'tag_id'),
            ('public.video_performers', 'video_performers_performer_id_idx', 'performer_id'),
            ('public.user_video_decisions', 'user_video_decisions_video_id_idx', 'video_id')
        ) as wanted (relation, name, columns)
        inner join recsys.settings on settings.key = 'created_objects'
        where settings.value ? wanted.relation
    loop
        execute format(
            'create index %I on %s (%s)', index_on.name, index_on.relation, index_on.columns
        );
    end loop;
end;
$$;
