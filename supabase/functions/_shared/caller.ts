// Who calls, and the database as that caller: every query runs with the caller's own token, so row level
// security and the SQL functions decide what they may see. Keys with more rights than a user are turned away.

import {
  createClient,
  type SupabaseClient,
} from "npm:@supabase/supabase-js@2.119.0";

/** An answer that is not a success: what to say with which HTTP status. */
export class Refusal extends Error {
  constructor(readonly status: number, message: string, readonly remedy = "") {
    super(message);
  }
}

export interface Caller {
  database: SupabaseClient;
  role: "anon" | "authenticated";
}

/** The caller of a request. The gateway and PostgREST verify the token; here only its role is read. */
export function callerOf(request: Request): Caller {
  const token =
    request.headers.get("Authorization")?.replace(/^Bearer\s+/i, "").trim() ??
      "";
  if (!token) {
    throw new Refusal(
      401,
      "no Authorization header",
      "send the user's access token as Bearer",
    );
  }
  const role = roleOf(token);
  if (role !== "anon" && role !== "authenticated") {
    throw new Refusal(
      403,
      `a token of role ${role} is not a user's`,
      "send the user's access token",
    );
  }
  const key = variable("SUPABASE_ANON_KEY", "SUPABASE_PUBLISHABLE_KEY");
  const database = createClient(variable("SUPABASE_URL"), key, {
    auth: {
      persistSession: false,
      autoRefreshToken: false,
      detectSessionInUrl: false,
    },
    global: { headers: { Authorization: `Bearer ${token}` } },
  });
  return { database, role };
}

/** What a SQL function answers. */
export async function call<Answer>(
  caller: Caller,
  name: string,
  args: Record<string, unknown>,
): Promise<Answer> {
  const { data, error } = await caller.database.rpc(name, args);
  if (error) {
    throw new Refusal(
      statusOf(error.code),
      `${name}: ${error.message}`,
      error.hint ?? "",
    );
  }
  return data as Answer;
}

/** The first of some environment variables that is set. */
export function variable(...names: string[]): string {
  for (const name of names) {
    const value = Deno.env.get(name);
    if (value) return value;
  }
  throw new Refusal(
    500,
    `${names.join(" and ")} not set`,
    "set it with `supabase secrets set`",
  );
}

function roleOf(token: string): string {
  if (token.startsWith("sb_publishable_")) return "anon";
  try {
    const payload = token.split(".")[1].replaceAll("-", "+").replaceAll(
      "_",
      "/",
    );
    return String(JSON.parse(atob(payload)).role);
  } catch {
    throw new Refusal(
      401,
      "the token is not a JWT",
      "send the user's access token as Bearer",
    );
  }
}

// PostgREST's codes and Postgres' SQLSTATEs, as the HTTP status a client understands.
function statusOf(code: string): number {
  if (code === "42501") return 403;
  if (/^PGRST30[0-3]$/.test(code)) return 401;
  if (code === "57014") return 504;
  if (/^22/.test(code)) return 400;
  return 502;
}
