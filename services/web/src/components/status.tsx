// How something stands: its state, how far it is, what went wrong.

import type { ComponentChildren } from "preact";
import { Refused } from "../client/requests";

export function State({ state }: { state: string }) {
  return <span class={`state state-${state}`}>{state}</span>;
}

export function Bar({ value, label }: { value: number; label: string }) {
  const percent = Math.round(100 * Math.min(1, Math.max(0, value)));
  return (
    <div
      class="bar"
      role="progressbar"
      aria-label={label}
      aria-valuemin={0}
      aria-valuemax={100}
      aria-valuenow={percent}
    >
      <div class="bar-fill" style={{ width: `${percent}%` }} />
    </div>
  );
}

export function Trouble({ error, children }: { error: unknown; children?: ComponentChildren }) {
  if (!error) return null;
  const problem = error instanceof Refused ? error.problem : null;
  return (
    <div class="trouble" role="alert">
      <p>{problem?.detail ?? (error as Error).message}</p>
      {problem && <code>{problem.code}</code>}
      {problem?.retryable && <span class="quiet">Trying again may help.</span>}
      {children}
    </div>
  );
}
