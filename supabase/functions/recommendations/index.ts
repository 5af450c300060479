// POST {match_count?, exclude_ids?, with_tags?, without_tags?, max_per_maker?, diversity?}
// -> {model_version, recommendations: [{rank, video_id, score, reason}]}
// What public.recommend_videos says to the caller; a visitor (anon token) gets what is popular.

import { answering } from "../_shared/answer.ts";
import { call, callerOf, Refusal } from "../_shared/caller.ts";

interface Row {
  rank: number;
  video_id: string;
  score: number;
  reason: string;
  model_version: string | null;
}

const DIALS = [
  "match_count",
  "exclude_ids",
  "with_tags",
  "without_tags",
  "max_per_maker",
  "diversity",
];
// PostgREST gives 1,000 rows at most; a page is far less.
const MOST = 1000;

Deno.serve(answering(async (request, body) => {
  const unknown = Object.keys(body).filter((name) => !DIALS.includes(name));
  if (unknown.length) {
    throw new Refusal(
      400,
      `unknown: ${unknown.join(", ")}`,
      `known: ${DIALS.join(", ")}`,
    );
  }
  const count = body.match_count ?? 20;
  if (
    !Number.isInteger(count) || (count as number) < 1 ||
    (count as number) > MOST
  ) {
    throw new Refusal(
      400,
      `match_count is ${JSON.stringify(count)}`,
      `a whole number from 1 to ${MOST}`,
    );
  }
  const rows = await call<Row[]>(callerOf(request), "recommend_videos", {
    ...body,
    match_count: count,
  });
  return {
    model_version: rows[0]?.model_version ?? null,
    recommendations: rows.map(({ model_version: _, ...row }) => row),
  };
}));
