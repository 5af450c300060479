-- Which version serves, and where its vectors lie.

create or replace function recsys.active_version() returns text
language sql stable set search_path = ''
as $$
    select version from recsys.embedding_model_versions where is_active
$$;
comment on function recsys.active_version() is 'The version that serves, or null before the first promotion.';

create or replace function recsys.partition_of(relation text, version text) returns text
language sql immutable set search_path = ''
as $$
    select format('%I.%I', 'recsys', relation || '_' || version)
$$;
comment on function recsys.partition_of(text, text) is
'The quoted name of one version''s partition: recsys.video_embeddings_202611200900.';
