-- Versions, vectors, the gate and the log of releases.

-- pgvector is in schema extensions (Supabase) or public (elsewhere); the column types below have to be found.
select set_config('search_path', 'pg_catalog, ' || quote_ident(pg_namespace.nspname), true)
from pg_extension
inner join pg_namespace on pg_extension.extnamespace = pg_namespace.oid
where pg_extension.extname = 'vector';

create table recsys.embedding_model_versions (
    id uuid primary key default gen_random_uuid(),
    version text not null unique check (version ~ '^[0-9]{12}([0-9]{2})?$'),
    model_type text not null default 'two_tower',
    model_path text,
    is_active boolean not null default false,
    created_at timestamptz not null default now(),
    status text not null check (status in ('building', 'candidate', 'active', 'retired', 'refused', 'failed')),
    embedding_dim integer not null check (embedding_dim > 0),
    config jsonb not null default '{}',
    data_hash text,
    git_commit text,
    metrics jsonb not null default '{}',
    promoted_at timestamptz,
    check (is_active = (status = 'active'))
);
comment on table recsys.embedding_model_versions is 'One row per trained version; at most one is active.';
create unique index embedding_model_versions_one_active_idx
on recsys.embedding_model_versions (is_active) where is_active;

-- Vectors carry no dimension here: each version's partition checks its own, so that another dimension needs no
-- migration. Partitions, their checks and their HNSW index are made when a version is written.
create table recsys.video_embeddings (
    model_version text not null,
    video_id uuid not null,
    embedding vector not null,
    history_embedding vector not null,
    primary key (model_version, video_id)
) partition by list (model_version);
comment on table recsys.video_embeddings is
'One row per version and video: its unit vector, and the vector that speaks for it inside a history.';

create table recsys.user_embeddings (
    model_version text not null,
    user_key text not null,
    embedding vector not null,
    updated_at timestamptz not null default now(),
    primary key (model_version, user_key)
) partition by list (model_version);
comment on table recsys.user_embeddings is 'One row per version and user (user_key as in the marts): a unit vector.';

create table recsys.user_tower (
    model_version text not null,
    layer text not null check (layer in ('skip', 'hidden', 'output')),
    unit integer not null check (unit >= 0),
    weights vector not null,
    bias real not null default 0,
    primary key (model_version, layer, unit),
    foreign key (model_version) references recsys.embedding_model_versions (version) on delete cascade
);
comment on table recsys.user_tower is 'One row per version, layer and unit of the user tower: its weights and bias.';

create table recsys.feature_importance (
    id uuid primary key default gen_random_uuid(),
    model_version_id uuid not null references recsys.embedding_model_versions (id) on delete cascade,
    feature_name text not null,
    importance_score double precision not null,
    unique (model_version_id, feature_name)
);
comment on table recsys.feature_importance is 'One row per version and feature: what is lost without it.';

create table recsys.evaluations (
    model_version text not null references recsys.embedding_model_versions (version) on delete cascade,
    model_name text not null,
    split text not null,
    slice text not null default 'all',
    metric text not null,
    value double precision,
    low double precision,
    high double precision,
    n_users integer,
    evaluated_at timestamptz not null default now(),
    primary key (model_version, model_name, split, slice, metric)
);
comment on table recsys.evaluations is
'One row per version, model beside it, split, slice and metric; low and high bound the 95 % bootstrap interval.';

create table recsys.evaluation_users (
    model_version text not null references recsys.embedding_model_versions (version) on delete cascade,
    user_key text not null,
    metric text not null,
    value double precision not null,
    primary key (model_version, user_key, metric)
);
comment on table recsys.evaluation_users is
'One row per version, user and metric: what the gate pairs champion and challenger by.';

create table recsys.gate_rules (
    rule text primary key,
    metric text not null,
    slice text not null default 'all',
    kind text not null check (kind in ('floor', 'max_regression', 'must_beat')),
    baseline text,
    threshold double precision,
    is_enabled boolean not null default true,
    reason text not null
);
comment on table recsys.gate_rules is 'One row per rule a version has to pass before it may be promoted.';

create table recsys.gate_results (
    model_version text not null references recsys.embedding_model_versions (version) on delete cascade,
    rule text not null,
    passed boolean not null,
    value double precision,
    reference double precision,
    threshold double precision,
    reason text not null,
    decided_at timestamptz not null default now(),
    primary key (model_version, rule)
);
comment on table recsys.gate_results is 'One row per version and rule: passed or not, and why.';

create table recsys.release_log (
    id bigint generated always as identity primary key,
    action text not null,
    model_version text,
    previous_version text,
    is_forced boolean not null default false,
    actor text not null default current_user,
    reason text,
    at timestamptz not null default now()
);
comment on table recsys.release_log is 'One row per promotion, rollback, refusal or removal; never changed.';
