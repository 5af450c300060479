-- A version's tables: made beside the parents, filled, checked, indexed, and attached when they are complete.
-- Attaching takes no lock that a reader would notice; `create table ... partition of` would.

create or replace function recsys.create_version_tables(version text, dimension integer) returns void
language plpgsql security definer set search_path = ''
as $$
declare
    relation text;
begin
    -- 0.001: what four-byte floats leave of a length of one is 1e-6; a vector that was never normalised is far off.
    -- NaN and infinity are refused by pgvector itself.
    execute format(
        $sql$
            create table %1$s (
                like recsys.video_embeddings including defaults including storage,
                constraint %2$I check (model_version = %3$L),
                constraint %4$I check (
                    extensions.vector_dims(embedding) = %5$s and extensions.vector_dims(history_embedding) = %5$s
                ),
                constraint %6$I check (extensions.vector_norm(embedding) between 0.999 and 1.001)
            )
        $sql$,
        recsys.partition_of('video_embeddings', version), 'video_embeddings_' || version || '_is_version', version,
        'video_embeddings_' || version || '_has_dimension', dimension,
        'video_embeddings_' || version || '_is_unit'
    );
    -- Searching reads the one vector, histories the other: where the two do not fit into 2 kB, the second goes out of
    -- line, and an exact scan reads half the pages.
    execute format(
        'alter table %s alter column embedding set storage main, alter column history_embedding set storage external',
        recsys.partition_of('video_embeddings', version)
    );
    execute format(
        $sql$
            create table %1$s (
                like recsys.user_embeddings including defaults including storage,
                constraint %2$I check (model_version = %3$L),
                constraint %4$I check (extensions.vector_dims(embedding) = %5$s),
                constraint %6$I check (extensions.vector_norm(embedding) between 0.999 and 1.001)
            ) with (toast_tuple_target = 8160)
        $sql$,
        recsys.partition_of('user_embeddings', version), 'user_embeddings_' || version || '_is_version', version,
        'user_embeddings_' || version || '_has_dimension', dimension,
        'user_embeddings_' || version || '_is_unit'
    );
    foreach relation in array array['video_embeddings', 'user_embeddings'] loop
        relation := recsys.partition_of(relation, version);
        execute format('alter table %s alter column model_version set default %L', relation, version);
        -- whoever fills them may be another role than the owner of the schema
        execute format('grant select, insert on %s to %I', relation, recsys.caller());
    end loop;
end;
$$;
comment on function recsys.create_version_tables(text, integer) is
'Two empty tables for a version, not attached yet, whose checks refuse another dimension and any vector that is no '
'unit vector.';

drop function if exists recsys.attach_version_tables(text, integer);

create or replace function recsys.attach_version_tables(version text) returns void
language plpgsql security definer set search_path = ''
as $$
declare
    videos constant text := recsys.partition_of('video_embeddings', version);
    users constant text := recsys.partition_of('user_embeddings', version);
    n_videos bigint;
begin
    execute format('alter table %s add primary key (model_version, video_id)', videos);
    execute format('alter table %s add primary key (model_version, user_key)', users);
    -- as public.user_embeddings writes it, so that one user is found there by user_id
    execute format(
        'create index on %s ((substr(user_key, 5)::uuid)) where user_key like ''app:%%''', users
    );
    execute format('select count(*) from %s', videos) into n_videos;
    if n_videos > recsys.index_above() then
        perform recsys.index_videos(version);
    end if;
    execute format('analyze %s', videos);
    execute format('analyze %s', users);
    execute format('alter table %s enable row level security', users);
    execute format('alter table recsys.video_embeddings attach partition %s for values in (%L)', videos, version);
    execute format('alter table recsys.user_embeddings attach partition %s for values in (%L)', users, version);
end;
$$;
comment on function recsys.attach_version_tables(text) is
'Keys, the HNSW indexes of a large catalogue, statistics; then the tables become partitions.';

create or replace function recsys.drop_version(version text) returns void
language plpgsql security definer set search_path = ''
as $$
begin
    execute format('drop table if exists %s', recsys.partition_of('video_embeddings', version));
    execute format('drop table if exists %s', recsys.partition_of('user_embeddings', version));
    delete from recsys.embedding_model_versions as registry
    where registry.version = drop_version.version and not registry.is_active;
end;
$$;
comment on function recsys.drop_version(text) is 'Removes a version: its vectors, weights, evaluations, verdicts.';

create or replace function recsys.prune_versions() returns text[]
language plpgsql security definer set search_path = ''
as $$
declare
    keep constant integer := coalesce(
        (select (settings.value #>> '{}')::integer from recsys.settings where settings.key = 'keep_versions'), 5
    );
    dropped text[];
    old text;
begin
    -- Only who holds the publishing lock gets here, so what still says building was left by a run that died.
    dropped := array(
        select registry.version
        from recsys.embedding_model_versions as registry
        where
            registry.status in ('building', 'failed')
            or registry.version in (
                select kept.version
                from recsys.embedding_model_versions as kept
                where
                    not kept.is_active
                    and kept.status not in ('building', 'failed')
                    and not exists (
                        select from recsys.experiment_arms as arms
                        inner join recsys.experiments on experiments.experiment = arms.experiment
                        where arms.model_version = kept.version and experiments.is_running
                    )
                order by kept.version is not distinct from recsys.rollback_target() desc, kept.created_at desc
                offset keep
            )
        order by registry.created_at
    );
    foreach old in array dropped loop
        insert into recsys.release_log (action, model_version, previous_version, actor, reason)
        select
            'remove', old, recsys.active_version(), recsys.caller(),
            case
                when registry.status in ('building', 'failed') then 'left unfinished by a run that died'
                else format('retention keeps %s versions beside the active one', keep)
            end
        from recsys.embedding_model_versions as registry
        where registry.version = old;
        perform recsys.drop_version(old);
    end loop;
    return dropped;
end;
$$;
comment on function recsys.prune_versions() is
'Drops what retention (recsys.settings, keep_versions) and dead runs leave behind; returns the versions dropped. '
'What a running experiment serves stays.';
