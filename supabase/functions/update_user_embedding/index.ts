// POST {engine?: "sql" | "onnx"} -> {engine, model_version, dimension, is_stored}
// Computes the caller's vector from their likes as they are now, and stores it. "sql" (the default) does it in
// Postgres; "onnx" runs user_tower.onnx here, for when the database should not do the arithmetic.

import { answering } from "../_shared/answer.ts";
import { call, type Caller, callerOf, Refusal } from "../_shared/caller.ts";
import { type TowerInputs, userVector } from "../_shared/user_tower.ts";

interface Updated {
  engine: "sql" | "onnx";
  model_version: string | null;
  dimension: number | null;
  is_stored: boolean;
}

Deno.serve(answering(async (request, body) => {
  const caller = callerOf(request);
  if (caller.role === "anon") {
    throw new Refusal(
      401,
      "a visitor has no vector",
      "send the access token of a signed-in user",
    );
  }
  const engine = body.engine ?? "sql";
  if (engine === "sql") return await inPostgres(caller);
  if (engine === "onnx") return await here(caller);
  throw new Refusal(
    400,
    `engine is ${JSON.stringify(engine)}`,
    'use "sql" or "onnx"',
  );
}));

async function inPostgres(caller: Caller): Promise<Updated> {
  const vector = await call<string | null>(
    caller,
    "refresh_user_embedding",
    {},
  );
  const dimension = vector === null ? null : JSON.parse(vector).length;
  return {
    engine: "sql",
    model_version: null,
    dimension,
    is_stored: vector !== null,
  };
}

async function here(caller: Caller): Promise<Updated> {
  const inputs = await call<TowerInputs | null>(
    caller,
    "user_tower_inputs",
    {},
  );
  if (inputs === null || inputs.likes.length === 0) {
    return await inPostgres(caller); // no like, no vector
  }
  const vector = await userVector(inputs);
  const is_stored = await call<boolean>(caller, "store_user_embedding", {
    embedding: JSON.stringify(Array.from(vector)),
    model_version: inputs.model_version,
    history_hash: inputs.history_hash,
  });
  return {
    engine: "onnx",
    model_version: inputs.model_version,
    dimension: vector.length,
    is_stored,
  };
}
