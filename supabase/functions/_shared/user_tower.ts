// user_tower.onnx in onnxruntime-web (wasm): the vector SQL computes, computed here instead.

import * as ort from "npm:onnxruntime-web@1.30.0";
import { Refusal, variable } from "./caller.ts";

/** What public.user_tower_inputs() gives. */
export interface TowerInputs {
  likes: number[][];
  like_weights: number[];
  dislikes: number[][];
  dislike_weights: number[];
  aggregates: number[];
  model_version: string;
  history_hash: string;
}

interface ManifestEntry {
  version: string;
  embedding_dim: number;
  files: { path: string; sha256: string; bytes: number }[];
}

interface Model {
  session: ort.InferenceSession;
  dimension: number;
}

ort.env.wasm.numThreads = 1; // edge functions have one

// One model per instance: the next request finds it open, another version replaces it.
let open: { version: string; model: Promise<Model> } | undefined;

/** The user's unit vector. */
export async function userVector(inputs: TowerInputs): Promise<Float32Array> {
  if (open?.version !== inputs.model_version) {
    open = { version: inputs.model_version, model: load(inputs.model_version) };
  }
  const { session, dimension } = await open.model.catch((error) => {
    open = undefined; // the next request tries again
    throw error;
  });
  const feeds: Record<string, ort.Tensor> = {
    likes: rows(inputs.likes, dimension),
    like_weights: row(inputs.like_weights),
    dislikes: rows(inputs.dislikes, dimension),
    dislike_weights: row(inputs.dislike_weights),
  };
  if (session.inputNames.includes("aggregates")) {
    feeds.aggregates = row(inputs.aggregates);
  }
  const { user_vector } = await session.run(feeds);
  return user_vector.data as Float32Array;
}

async function load(version: string): Promise<Model> {
  const manifest = JSON.parse(
    new TextDecoder().decode(await read("two_tower/latest/manifest.json")),
  );
  const entries: ManifestEntry[] = [manifest.current, ...manifest.previous];
  const entry = entries.find((one) => one.version === version);
  const file = entry?.files.find((one) =>
    one.path === `two_tower/${version}/user_tower.onnx`
  );
  if (!entry || !file) {
    throw new Refusal(
      503,
      `Storage holds no version ${version}`,
      "python -m trainer publish --storage-only",
    );
  }
  const content = await read(file.path);
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", content));
  if (
    Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join(
      "",
    ) !== file.sha256
  ) {
    throw new Refusal(
      503,
      `${file.path} is not the file the manifest names`,
      "publish that version again",
    );
  }
  const session = await ort.InferenceSession.create(new Uint8Array(content), {
    executionProviders: ["wasm"],
  });
  return { session, dimension: entry.embedding_dim };
}

// The bucket is private: it is read with the function's own key, which never comes from nor goes to a client.
async function read(path: string): Promise<ArrayBuffer> {
  const bucket = Deno.env.get("MARTELLO_BUCKET") ?? "models";
  const key = variable("SUPABASE_SECRET_KEY", "SUPABASE_SERVICE_ROLE_KEY");
  const answer = await fetch(
    `${variable("SUPABASE_URL")}/storage/v1/object/${bucket}/${path}`,
    {
      headers: { Authorization: `Bearer ${key}`, apikey: key },
    },
  );
  if (!answer.ok) {
    await answer.body?.cancel();
    throw new Refusal(
      503,
      `Storage has no ${path}`,
      "python -m trainer publish --storage-only",
    );
  }
  return await answer.arrayBuffer();
}

function rows(vectors: number[][], dimension: number): ort.Tensor {
  return new ort.Tensor("float32", Float32Array.from(vectors.flat()), [
    1,
    vectors.length,
    dimension,
  ]);
}

function row(values: number[]): ort.Tensor {
  return new ort.Tensor("float32", Float32Array.from(values), [
    1,
    values.length,
  ]);
}
