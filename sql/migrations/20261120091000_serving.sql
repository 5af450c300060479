-- What serving needs beside the registry: popularity, experiments, impressions, the gate's first rules.

-- Vectors stay in their rows. Postgres moves rows above 2 kB out of line, which doubles the reads of the user
-- tower: 256 rows of 4 * (2 * 256 + aggregates) bytes. 8160 is the largest value a page allows.
alter table recsys.user_tower set (toast_tuple_target = 8160);

-- Which history a stored user vector was computed from (see recsys.history_hash); null: compute again.
alter table recsys.user_embeddings add column history_hash bigint;
comment on column recsys.user_embeddings.history_hash is
'Hash of the labelled history the vector came from; when the live history hashes differently the vector is stale.';

-- Beside the version itself, its champion and popularity on the same holdout, so that users can be paired.
alter table recsys.evaluation_users add column model_name text not null default 'two_tower';
alter table recsys.evaluation_users drop constraint evaluation_users_pkey;
alter table recsys.evaluation_users add primary key (model_version, model_name, metric, user_key);
comment on column recsys.evaluation_users.model_name is
'two_tower: the version itself; champion: the version active then, on the same holdout; or a baseline.';

create table recsys.video_popularity (
    video_id uuid primary key,
    n_recent bigint not null,
    n_likes bigint not null,
    listed_at timestamptz not null
);
comment on table recsys.video_popularity is
'One row per video of the catalogue as of the last recsys.refresh_popularity(): likes of the last 30 days and of all '
'time.';
create index video_popularity_order_idx
on recsys.video_popularity (n_recent desc, n_likes desc, listed_at desc, video_id);

create table recsys.experiments (
    experiment text primary key,
    is_running boolean not null default false,
    description text,
    started_at timestamptz,
    stopped_at timestamptz,
    created_at timestamptz not null default now()
);
comment on table recsys.experiments is 'One row per A/B test; at most one is running.';
create unique index experiments_one_running_idx on recsys.experiments (is_running) where is_running;

create table recsys.experiment_arms (
    experiment text not null references recsys.experiments (experiment) on delete cascade,
    arm text not null,
    model_version text references recsys.embedding_model_versions (version) on delete cascade,
    user_share double precision not null check (user_share > 0 and user_share <= 1),
    primary key (experiment, arm)
);
comment on table recsys.experiment_arms is
'One row per arm: the version it serves (null: the active one) and its share of the users; shares above 1 in sum '
'are cut off, what they leave below 1 is served the active version outside the experiment.';
create index experiment_arms_model_version_idx on recsys.experiment_arms (model_version);

create table recsys.impressions (
    id bigint generated always as identity primary key,
    user_id uuid,
    video_id uuid not null,
    rank integer not null check (rank > 0),
    score real,
    model_version text,
    experiment text,
    arm text,
    propensity real check (propensity > 0 and propensity <= 1),
    surface text,
    shown_at timestamptz not null default now()
);
comment on table recsys.impressions is 'One row per video shown to somebody: where, at which rank, by which version.';
create index impressions_user_id_idx on recsys.impressions (user_id, shown_at);
create index impressions_shown_at_idx on recsys.impressions using brin (shown_at);

insert into recsys.gate_rules (rule, metric, slice, kind, baseline, threshold, is_enabled, reason)
values
(
    'is_measured', 'ndcg@20', 'all', 'floor', null, 0, true,
    'A version nobody measured, or whose metric is not a number, does not serve.'
),
(
    'beats_popularity_ndcg', 'ndcg@20', 'all', 'must_beat', 'popularity', 0, true,
    'A model that ranks no better than the list of the most liked is not worth its cost.'
),
(
    'beats_popularity_recall', 'recall@20', 'all', 'must_beat', 'popularity', 0, true,
    'The same for what is found at all: NDCG alone can hide a model that only orders the first places.'
),
(
    'keeps_ndcg', 'ndcg@20', 'all', 'max_regression', 'champion', 0.02, true,
    'Weekly retraining moves NDCG by about 1 % from seed to seed; losing more than 2 % and surely is a fault.'
),
(
    'keeps_recall', 'recall@20', 'all', 'max_regression', 'champion', 0.02, true,
    'The same for recall.'
),
(
    'keeps_new_users', 'recall@20', 'users: 1-2 likes', 'max_regression', 'champion', 0.10, true,
    'New users decide by their first page; the slice is small, hence the wider margin.'
),
(
    'keeps_young_users', 'recall@20', 'users: 3-5 likes', 'max_regression', 'champion', 0.10, true,
    'The same a few likes later, where lists turn good.'
),
(
    'keeps_tail', 'recall@20', 'items: tail', 'max_regression', 'champion', 0.20, true,
    'A model may not buy its average by showing only hits; the slice is noisy, hence the wider margin.'
),
(
    'keeps_coverage', 'coverage@20', 'all', 'max_regression', 'champion', 0.30, true,
    'Showing a third less of the catalogue than last week is a change somebody has to want.'
),
(
    'keeps_dislikes_low', 'dislike@20', 'all', 'max_regression', 'champion', 0.20, true,
    'Smaller is better here: the share of lists with something the user is known to dislike may not grow by a fifth.'
),
(
    'keeps_makers_mixed', 'largest_maker_share@20', 'all', 'max_regression', 'champion', 0.20, true,
    'Smaller is better here: lists filled by one maker are the commonest complaint about a recommender.'
),
(
    'recall_floor', 'recall@20', 'all', 'floor', null, 0.05, false,
    'An absolute floor depends on the catalogue: set yours from a good month, then enable it.'
);

insert into recsys.settings (key, value, reason)
values ('keep_versions', '5', 'versions kept beside the active one; each costs its vectors on disk');

-- "Since the last count", asked at every call for popular videos; on our own table only.
do $$
begin
    if exists (
        select from recsys.settings where key = 'created_objects' and value ? 'public.user_video_decisions'
    ) then
        create index user_video_decisions_created_at_idx on public.user_video_decisions (created_at);
    end if;
end;
$$;
