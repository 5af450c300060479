-- raw, recsys and the marts are for the owner. What the app needs of recsys, its security-invoker views read with
-- the caller's own rights, so those columns are granted here and nothing else is.

revoke all on schema raw, recsys from public;
revoke all on all tables in schema raw, recsys from public;
revoke all on all functions in schema recsys from public;

revoke all on schema raw from anon, authenticated, service_role;
revoke all on all tables in schema raw from anon, authenticated, service_role;
revoke all on all tables in schema recsys from anon, authenticated;
revoke all on all functions in schema recsys from anon, authenticated;

grant usage on schema recsys to anon, authenticated, service_role;
grant select (version, is_active, created_at, promoted_at) on recsys.embedding_model_versions to anon, authenticated;
grant select (model_version, video_id, embedding) on recsys.video_embeddings to anon, authenticated;
grant select (model_version, user_key, embedding, updated_at) on recsys.user_embeddings to authenticated;

-- A program with the service key may do the trainer's work; it never reaches recsys over PostgREST.
grant select, insert, update, delete on all tables in schema recsys to service_role;
grant execute on all functions in schema recsys to service_role;
