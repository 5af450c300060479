-- Files as they stand. No primary keys, foreign keys or indexes on the line tables: they are filled by COPY of any
-- size and read whole by dbt, so each of those would cost at every line and serve nobody. A load is removed
-- with `delete ... where load_id = n`.

create schema if not exists raw;

create table raw.loads (
    load_id bigint generated always as identity primary key,
    kind text not null check (kind in ('reviews', 'decisions', 'videos')),
    file_name text not null,
    sha256 text not null check (sha256 ~ '^[0-9a-f]{64}$'),
    n_rows bigint not null check (n_rows >= 0),
    n_rejected bigint not null default 0 check (n_rejected >= 0),
    loaded_at timestamptz not null default now(),
    unique (kind, sha256)
);
comment on table raw.loads is 'One row per loaded file; the same bytes of one kind load once.';

create table raw.reviews (
    load_id bigint not null,
    line_number bigint not null,
    product_url text,
    reviewer_id text,
    stars text,
    reviewed_at text,
    split text
);
comment on table raw.reviews is 'One row per line of a reviews file, every value as it stood in the file.';

create table raw.decisions (
    load_id bigint not null,
    line_number bigint not null,
    reviewer_id text,
    user_id text,
    item text,
    decision text,
    label text,
    decided_at text,
    split text
);
comment on table raw.decisions is 'One row per line of a decisions file, every value as it stood in the file.';

create table raw.rejected_lines (
    load_id bigint not null,
    line_number bigint not null,
    content text,
    reason text not null
);
comment on table raw.rejected_lines is
'One row per line that could not be read (columns, UTF-8, NUL); the other lines of its file were loaded.';

create table raw.user_links (
    reviewer_id text primary key,
    user_id uuid not null
);
comment on table raw.user_links is
'One row per reviewer known to be a user of the app; empty unless somebody knows.';
create index user_links_user_id_idx on raw.user_links (user_id);
