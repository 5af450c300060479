// JSON in, JSON out, with the headers a browser asks for.

import { Refusal } from "./caller.ts";

const CORS = {
  "Access-Control-Allow-Origin": "*",
  "Access-Control-Allow-Headers":
    "authorization, x-client-info, apikey, content-type",
  "Access-Control-Allow-Methods": "POST, OPTIONS",
};

/** A handler for Deno.serve: `work` gets the request's JSON object and returns what is answered. */
export function answering(
  work: (request: Request, body: Record<string, unknown>) => Promise<unknown>,
) {
  return async (request: Request): Promise<Response> => {
    if (request.method === "OPTIONS") {
      return new Response(null, { headers: CORS });
    }
    try {
      if (request.method !== "POST") {
        throw new Refusal(405, `${request.method} is not taken`, "use POST");
      }
      return json(200, await work(request, await bodyOf(request)));
    } catch (error) {
      if (error instanceof Refusal) {
        return json(error.status, {
          error: error.message,
          remedy: error.remedy,
        });
      }
      console.error(error);
      return json(500, {
        error: "internal error",
        remedy: "see the function's log",
      });
    }
  };
}

async function bodyOf(request: Request): Promise<Record<string, unknown>> {
  const text = await request.text();
  if (!text) return {};
  let body: unknown;
  try {
    body = JSON.parse(text);
  } catch {
    throw new Refusal(400, "the body is not JSON");
  }
  if (typeof body !== "object" || body === null || Array.isArray(body)) {
    throw new Refusal(400, "the body is not a JSON object");
  }
  return body as Record<string, unknown>;
}

function json(status: number, content: unknown): Response {
  return new Response(JSON.stringify(content), {
    status,
    headers: { ...CORS, "Content-Type": "application/json" },
  });
}
