import type { ApiErrorBody, Problem } from "./types";

/** What went wrong in the API's own words: code, message, hint, and the id under which the server logged it. */
export class ApiError extends Error {
  override readonly name = "ApiError";

  constructor(
    /** HTTP status; 0 when no answer came at all. */
    readonly status: number,
    readonly code: string,
    message: string,
    readonly hint: string | null,
    readonly requestId: string | null,
    /** Places in the files, when a Compose project is the reason. */
    readonly problems: readonly Problem[] = [],
    options?: ErrorOptions,
  ) {
    super(message, options);
  }

  /** From an answer whose body may be our error shape, other JSON, plain text or nothing (a proxy in between). */
  static from(status: number, body: unknown): ApiError {
    if (isErrorBody(body)) {
      return new ApiError(status, body.code, body.message, body.hint ?? null, body.request_id ?? null, body.problems);
    }
    const text = typeof body === "string" && body.length > 0 && body.length < 400 && !body.includes("<") ? body : null;
    return new ApiError(status, `http_${status}`, text ?? `HTTP ${status}`, null, null);
  }

  static unreachable(cause: unknown): ApiError {
    return new ApiError(0, "unreachable", "", null, null, [], { cause });
  }

  /** Asking again may help: no answer, overload, or a fault inside the server. */
  get retryable(): boolean {
    return this.status === 0 || this.status === 429 || this.status >= 500;
  }
}

function isErrorBody(body: unknown): body is ApiErrorBody {
  return typeof body === "object" && body !== null && typeof (body as ApiErrorBody).code === "string"
    && typeof (body as ApiErrorBody).message === "string";
}
