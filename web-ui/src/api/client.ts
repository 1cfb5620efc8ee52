/** The one door to the HTTP API: typed by the OpenAPI document, errors as {@link ApiError}. */
import createClient from "openapi-fetch";
import { ApiError } from "./error";
import { learnClock } from "@/lib/age";
import type { paths } from "./schema";

/** Pauses before a request that got no answer is sent again. */
const AGAIN_MS = [150, 600, 1_500];

/**
 * Fetch that outlives a cut of a moment: a new network interface alone makes browsers drop every connection. Sent again is
 * only what may arrive twice: questions, and orders with an idempotency key (the first set-up works once, so not that one).
 */
async function steady(request: Request): Promise<Response> {
  const twice = request.method === "GET" || (request.headers.has("Idempotency-Key") && !request.url.endsWith("/setup"));
  for (const pause of twice ? AGAIN_MS : []) {
    try {
      return await fetch(request.clone());
    } catch (cause) {
      if (request.signal.aborted) throw cause;
      await new Promise((done) => setTimeout(done, pause));
    }
  }
  return await fetch(request);
}

export const client = createClient<paths>({ baseUrl: "/", credentials: "same-origin", fetch: steady });

/** Called when the server says that nobody is signed in; set by the session. */
let onSignedOut: () => void = () => {};
export function whenSignedOut(handler: () => void): void {
  onSignedOut = handler;
}

client.use({
  onRequest({ request }) {
    if (request.method === "POST" && !request.headers.has("Idempotency-Key")) {
      request.headers.set("Idempotency-Key", crypto.randomUUID?.() ?? String(Math.random()).slice(2));
    }
    return request;
  },
  onResponse({ response, schemaPath }) {
    learnClock(response.headers.get("date"));
    if (response.status === 401 && schemaPath !== "/api/v1/sessions") onSignedOut();
  },
});

interface Result<T> {
  data?: T;
  error?: unknown;
  response: Response;
}

/** The data of an answer, or the error thrown in the one shape that the pages show. */
export async function unwrap<T>(pending: Promise<Result<T>>): Promise<T> {
  let result: Result<T>;
  try {
    result = await pending;
  } catch (cause) {
    throw ApiError.unreachable(cause);
  }
  if (!result.response.ok) throw ApiError.from(result.response.status, result.error);
  return result.data as T;
}
