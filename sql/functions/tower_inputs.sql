-- The user tower outside of Postgres: what user_tower.onnx takes in, as JSON, and the way back for what it gives.
-- For clients that compute the vector themselves (supabase/functions/update_user_embedding); SQL needs neither.

create or replace function public.user_tower_inputs(for_user uuid default null) returns jsonb
language plpgsql stable security definer set search_path = ''
as $$
declare
    asked constant uuid := recsys.asked_user(for_user);
    serving constant text := recsys.active_version();
    met_ids uuid[];
    labels smallint[];
    occurred_ats timestamptz[];
    inputs jsonb;
begin
    if asked is null or serving is null then
        return null;
    end if;
    select array_agg(met.video_id), array_agg(met.label), array_agg(met.occurred_at)
    into met_ids, labels, occurred_ats
    from recsys.user_videos('app:' || asked) as met;

    select jsonb_build_object(
        'likes',
        coalesce(
            jsonb_agg(history.history_embedding::real[] order by history.label desc, history.place)
                filter (where history.label <> 0),
            '[]'
        ),
        'like_weights',
        coalesce(
            jsonb_agg(history.weight order by history.label desc, history.place) filter (where history.label <> 0),
            '[]'
        ),
        'dislikes',
        coalesce(jsonb_agg(history.history_embedding::real[] order by history.place) filter (where history.label = 0), '[]'),
        'dislike_weights',
        coalesce(jsonb_agg(history.weight order by history.place) filter (where history.label = 0), '[]'),
        'aggregates',
        recsys.user_aggregates(
            (select registry.config -> 'aggregates' from recsys.embedding_model_versions as registry
            where registry.version = serving),
            coalesce(array_agg(history.video_id) filter (where history.label = 1), '{}'),
            count(*) filter (where history.label = 0)
        ),
        'model_version', serving,
        -- as text: JavaScript's numbers end at 2^53
        'history_hash', recsys.history_hash(met_ids, labels, occurred_ats)::text
    )
    into inputs
    from recsys.tower_history(serving, met_ids, labels, occurred_ats) as history;
    return inputs;
end;
$$;
comment on function public.user_tower_inputs(uuid) is
'What user_tower.onnx of the active version takes for the user who asks: history vectors and weights of likes '
'(then of what was only seen, where the version reads that) and of dislikes, newest first, the standardised '
'aggregates; with the model_version and history_hash that store_user_embedding wants back. for_user is for '
'service_role and database owners.';

create or replace function public.store_user_embedding(
    embedding extensions.vector, model_version text, history_hash text, for_user uuid default null
) returns boolean
language plpgsql security definer set search_path = ''
as $$
declare
    asked constant uuid := recsys.asked_user(for_user);
    serving constant text := recsys.active_version();
    dimension constant integer := (
        select registry.embedding_dim from recsys.embedding_model_versions as registry where registry.is_active
    );
begin
    if asked is null then
        raise exception 'nobody is signed in' using
            errcode = 'insufficient_privilege', hint = 'call with the token of the user the vector is of';
    end if;
    if serving is distinct from store_user_embedding.model_version then
        return false;  -- a promotion came between: the vector is of a model that no longer serves
    end if;
    if extensions.vector_dims(embedding) <> dimension
        or extensions.vector_norm(embedding) not between 0.999 and 1.001
    then
        raise exception 'the vector has % dimensions and length %, version % wants % and 1',
            extensions.vector_dims(embedding), round(extensions.vector_norm(embedding)::numeric, 3), serving, dimension
        using errcode = 'data_exception', hint = 'store what user_tower.onnx of that version gives';
    end if;
    -- with the hash of another history it is stored all the same and never used: recommendations compute their own
    insert into recsys.user_embeddings as stored (model_version, user_key, embedding, history_hash, updated_at)
    values (
        serving, 'app:' || asked, store_user_embedding.embedding, store_user_embedding.history_hash::bigint, now()
    )
    on conflict on constraint user_embeddings_pkey do update
    set embedding = excluded.embedding, history_hash = excluded.history_hash, updated_at = excluded.updated_at;
    perform recsys.fill_app_user(asked, store_user_embedding.embedding, serving);
    return true;
end;
$$;
comment on function public.store_user_embedding(extensions.vector, text, text, uuid) is
'Stores the vector that user_tower.onnx gave for user_tower_inputs() of the user who asks; false when another version '
'serves by now. A user can only ever write their own. for_user is for service_role and database owners.';
