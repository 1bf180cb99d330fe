// What the server says and is asked: types of the REST interface, errors, and the same requests as curl commands.

export interface Problem {
  status: number;
  code: string;
  detail: string;
  stage?: string | null;
  retryable?: boolean;
}

export class Refused extends Error {
  constructor(readonly problem: Problem) {
    super(problem.detail);
  }
}

export interface Page<T> {
  items: T[];
  next: string | null;
}

export interface Progress {
  tasks: number;
  tasks_ended: number;
  titles: number;
  titles_ended: number;
  titles_failed: number;
}

export interface Job {
  id: string;
  name: string;
  state: "running" | "cancelling" | "done" | "failed" | "cancelled";
  languages: string[];
  profile: string;
  then_train: string | null;
  created: string;
  finished: string | null;
  events: number;
  progress: Progress;
  summary: { accepted?: number; rejected?: number };
}

export interface Failure {
  code: string;
  message: string;
  stage?: string | null;
  retryable: boolean;
}

export interface Title {
  name: string;
  state: string;
  source: string;
  source_name: string;
  languages: string[];
  error: Failure | null;
  tasks_open: number;
}

export interface Cell {
  stage: string;
  language: string | null;
  states: Record<string, number>;
  progress: number;
  cached: number;
  seconds: number;
}

export interface Tasks {
  cells: Cell[];
  queues: Record<string, { ready: number; running: number; workers: number }>;
  seconds_left: number | null;
  errors: { title: string; task: string; stage: string; language: string | null; error: Failure }[];
}

export interface Sound {
  name: string;
  kind: "track" | "stem" | "speech";
  track: string | null;
  sha256: string;
  href: string;
}

export interface StoredFile {
  path: string;
  title: string;
  bytes: number;
  href: string;
}

export interface Shot {
  index: number;
  start: number;
  end: number;
}

export interface TitleRecord {
  title: string;
  source_name: string;
  source_language: { language: string } | null;
  languages: string[];
  tracks: string[];
  probe: { duration: number; video: { width: number; height: number; codec: string } } | null;
  shots: Shot[] | null;
  failed: Record<string, Failure>;
  notes?: { stage: string; kind: string; message: string }[];
}

export interface Line {
  id: string;
  speaker: string;
  language: string;
  text: string;
  start: number;
  end: number;
  status: string;
  reason: string | null;
  voice?: string | null;
  source_text?: string;
  source_start?: number;
  source_end?: number;
  slot_start?: number;
  slot_end?: number;
  overflow_ms?: number;
  fit_ratio?: number | null;
  stretch?: number | null;
  round_trip_text?: string | null;
  round_trip_cer?: number | null;
  speaker_similarity?: number | null;
  loudness_difference_lu?: number | null;
  edited?: boolean;
  href: string;
}

export interface Version {
  seq: number;
  replaced: string;
  line: Line;
  href: string;
}

export interface Labels {
  names: string[];
  codes: number[];
}

export interface Dataset {
  jobs: string[];
  rows: number;
  total: number;
  job: number[];
  shot: (number | null)[];
  accepted: boolean[];
  labels: Record<string, Labels>;
  reasons: string[][];
  metrics: Record<string, (number | null)[]>;
  thresholds: Record<string, number>;
}

export interface Profile {
  name: string;
  description: string;
  terms: { kind: string; engine: string; licence: string; commercial_use: boolean; note: string }[];
  to_accept: string[];
  unknown: string[];
}

export interface Language {
  code: string;
  name: string;
  native_name: string;
}

export interface Session {
  keys_required: boolean;
  key: string | null;
  scopes: string[];
}

let onLocked: () => void = () => undefined;

/** Call `told` whenever the server asks for an API key. */
export function whenLocked(told: () => void): void {
  onLocked = told;
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
  let problem: Problem = { status: response.status, code: "unknown", detail: response.statusText };
  try {
    problem = { ...problem, ...(JSON.parse(text) as Problem) };
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
    next = page.next;
    some(items.slice());
  } while (next);
  return items;
}

const quote = (text: string): string => `'${text.replaceAll("'", `'\\''`)}'`;

/** A request as a command to paste into a shell. */
export function curl(method: string, path: string, keys: boolean, body?: unknown): string {
  const parts = ["curl"];
  if (method !== "GET") parts.push("-X", method);
  if (keys) parts.push("-H", `"Authorization: Bearer $COUNTERDUB_API_KEY"`);
  if (body !== undefined) parts.push("-H", "'Content-Type: application/json'", "-d", quote(JSON.stringify(body)));
  parts.push(quote(location.origin + path));
  return parts.join(" ");
}
