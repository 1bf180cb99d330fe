// Requests to the API, and its refusals as errors.

import type { Page, Problem } from "./resources";

/** What is wrong, as the API says it (RFC 9457), or as the page does where no API answered. */
type Refusal = Pick<Problem, "status" | "code" | "detail" | "retryable">;

export class Refused extends Error {
  constructor(readonly problem: Refusal) {
    super(problem.detail);
  }
}

let onLocked: () => void = () => undefined;

/** Call `locked` whenever the server asks for an API key. */
export function whenLocked(locked: () => void): void {
  onLocked = locked;
}

export async function ask(path: string, init: RequestInit = {}): Promise<Response> {
  let response: Response;
  try {
    response = await fetch(path, { credentials: "same-origin", ...init });
  } catch (error) {
    if (error instanceof DOMException && error.name === "AbortError") throw error;
    throw new Refused({ status: 0, code: "unreachable", detail: "The server does not answer.", retryable: true });
  }
  if (response.ok) return response;
  const text = await response.text();
  let problem: Refusal = { status: response.status, code: "unknown", detail: response.statusText };
  try {
    problem = { ...problem, ...(JSON.parse(text) as Refusal) };
  } catch {
    // A proxy's page, not ours: its status line has to do.
  }
  if (response.status === 401 && path !== "/v1/session") onLocked();
  throw new Refused(problem);
}

export async function get<T>(path: string, signal?: AbortSignal): Promise<T> {
  return (await ask(path, { signal: signal ?? null })).json() as Promise<T>;
}

export async function send<T>(method: string, path: string, body?: unknown): Promise<T> {
  const init: RequestInit = { method };
  if (body !== undefined) {
    init.headers = { "Content-Type": "application/json" };
    init.body = JSON.stringify(body);
  }
  const response = await ask(path, init);
  const text = await response.text();
  return (text ? JSON.parse(text) : null) as T;
}

/** All pages of a list, a short one first; `some` is told what is there so far after each page. */
export async function all<T>(path: string, some: (items: T[]) => void, signal?: AbortSignal): Promise<T[]> {
  const items: T[] = [];
  let next: string | null = null;
  do {
    const more: string = next ? `&cursor=${encodeURIComponent(next)}` : "";
    const limit = next ? 500 : 100;
    const page: Page<T> = await get<Page<T>>(`${path}${path.includes("?") ? "&" : "?"}limit=${limit}${more}`, signal);
    items.push(...page.items);
    next = page.next ?? null;
    some(items.slice());
  } while (next);
  return items;
}
