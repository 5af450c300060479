-- Which version serves: one transaction, so that a reader sees the old one or the new one and nothing else.

create or replace function recsys.promote(version text, force boolean default false) returns jsonb
language plpgsql security definer set search_path = ''
as $$
declare
    chosen record;
begin
    perform recsys.take_release_turn();
    select registry.status, registry.is_active
    into chosen
    from recsys.embedding_model_versions as registry
    where registry.version = promote.version;
    if not found then
        raise exception 'version % does not exist', version using
            errcode = 'no_data_found', hint = 'list them with `python -m trainer versions`';
    end if;
    if chosen.status in ('building', 'failed') then
        raise exception 'version % is not complete: %', version, chosen.status using
            errcode = 'object_not_in_prerequisite_state', hint = 'train again';
    end if;
    if not force and chosen.status = 'candidate' and not exists (
        select from recsys.gate_results as results where results.model_version = version
    ) then
        perform recsys.decide(version);
    end if;
    if not force and exists (
        select from recsys.embedding_model_versions as registry
        where registry.version = promote.version and registry.status = 'refused'
    ) then
        raise exception 'the gate refused version %: %', version,
            (select string_agg(rejected.reason, '; ' order by rejected.rule) from recsys.why_rejected(version) as rejected)
        using errcode = 'MT003', hint = 'promote it with --force if you know better; that is logged';
    end if;
    return recsys.serve(version, 'promote', force, null);
end;
$$;
comment on function recsys.promote(text, boolean) is
'Makes a version the one that serves, everywhere and at once: pointer, vectors, the app''s own tables, log. Raises '
'MT003 for a version the gate refused, unless forced.';

create or replace function recsys.rollback() returns jsonb
language plpgsql security definer set search_path = ''
as $$
declare
    target text;
begin
    perform recsys.take_release_turn();
    target := recsys.rollback_target();
    if target is null then
        raise exception 'there is no version to go back to' using
            errcode = 'no_data_found',
            hint = 'no version was active before this one, or retention has removed it; see recsys.release_log';
    end if;
    return recsys.serve(target, 'rollback', false, null);
end;
$$;
comment on function recsys.rollback() is
'Goes back to the version active before; again goes further back. Nothing is computed: its vectors are still there.';

create or replace function recsys.rollback_target() returns text
language plpgsql stable set search_path = ''
as $$
declare
    served text[] := '{}';
    entry record;
begin
    -- The log read as a stack, in the order of its ids: clocks may go backwards. A promotion puts a version on top,
    -- a rollback takes it off again.
    for entry in
        select log.action, log.model_version
        from recsys.release_log as log
        where log.action in ('promote', 'rollback')
        order by log.id
    loop
        if entry.action = 'promote' then
            served := served || entry.model_version;
        else
            while cardinality(served) > 0 and served[cardinality(served)] <> entry.model_version loop
                served := trim_array(served, 1);
            end loop;
            if cardinality(served) = 0 then
                served := array[entry.model_version];
            end if;
        end if;
    end loop;
    for place in reverse cardinality(served) - 1 .. 1 loop
        if served[place] <> served[cardinality(served)] and exists (
            select from recsys.embedding_model_versions as registry
            where registry.version = served[place] and registry.status in ('retired', 'candidate', 'refused')
        ) then
            return served[place];
        end if;
    end loop;
    return null;
end;
$$;
comment on function recsys.rollback_target() is 'The version active before the present one, if it is still there.';

create or replace function recsys.take_release_turn() returns void
language sql set search_path = ''
as $$
    -- any number nobody else uses; held to the end of the transaction
    select pg_advisory_xact_lock(7305211958024418)
$$;
comment on function recsys.take_release_turn() is 'Promotions and rollbacks of one database take turns.';

create or replace function recsys.serve(version text, action text, is_forced boolean, reason text) returns jsonb
language plpgsql set search_path = ''
as $$
declare
    previous constant text := recsys.active_version();
    n_videos bigint;
    n_users bigint;
begin
    if version = previous then
        return jsonb_build_object('version', version, 'previous_version', previous, 'changed', false);
    end if;
    if to_regclass(recsys.partition_of('video_embeddings', version)) is null then
        raise exception 'version % has no vectors any more', version using
            errcode = 'object_not_in_prerequisite_state', hint = 'train again';
    end if;
    -- likes since the version was trained are in the vectors from the first moment
    perform recsys.refresh_changed_users(version);

    update recsys.embedding_model_versions as registry
    set is_active = false, status = 'retired'
    where registry.is_active;
    update recsys.embedding_model_versions as registry
    set is_active = true, status = 'active', promoted_at = now()
    where registry.version = serve.version;

    n_videos := recsys.fill_app_videos(version);
    n_users := recsys.fill_app_users(version);
    perform recsys.refresh_popularity();
    insert into recsys.release_log (action, model_version, previous_version, is_forced, actor, reason)
    values (action, version, previous, is_forced, recsys.caller(), reason);
    return jsonb_build_object(
        'version', version, 'previous_version', previous, 'changed', true,
        'app_videos', n_videos, 'app_users', n_users,
        'app_ivfflat_indexes', (select count(*) from recsys.app_ivfflat_indexes())
    );
end;
$$;
comment on function recsys.serve(text, text, boolean, text) is
'The switch itself, behind recsys.promote and recsys.rollback; app_videos and app_users are the rows written into '
'tables of the app''s own, null where it has none; app_ivfflat_indexes '
'counts the indexes there that recsys.rebuild_app_indexes() would improve.';
