// Small parts that every view uses.

import type { ComponentChildren, JSX } from "preact";
import { createContext } from "preact";
import { useContext, useEffect, useRef, useState } from "preact/hooks";
import { curl } from "../client/curl";
import { Refused } from "../client/requests";

export const Keys = createContext(false);

export function clock(seconds: number, digits = 0): string {
  const whole = Math.max(0, seconds);
  const minutes = Math.floor(whole / 60);
  const rest = (whole - minutes * 60).toFixed(digits).padStart(digits ? digits + 3 : 2, "0");
  return minutes < 60
    ? `${minutes}:${rest}`
    : `${Math.floor(minutes / 60)}:${String(minutes % 60).padStart(2, "0")}:${rest}`;
}

export function about(seconds: number): string {
  if (seconds < 90) return `${Math.max(1, Math.round(seconds))} s`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
  return `${(seconds / 3600).toFixed(1)} h`;
}

export function ago(time: string): string {
  const seconds = (Date.now() - Date.parse(time)) / 1000;
  if (seconds < 45) return "just now";
  return seconds < 86_400 ? `${about(seconds)} ago` : new Date(time).toLocaleDateString();
}

export const size = (bytes: number): string =>
  bytes < 1e6
    ? `${Math.ceil(bytes / 1e3)} kB`
    : bytes < 1e9
      ? `${(bytes / 1e6).toFixed(1)} MB`
      : `${(bytes / 1e9).toFixed(2)} GB`;

export const figure = (value: number | null | undefined, digits = 2): string =>
  value === null || value === undefined ? "–" : value.toFixed(digits);

const NAMES = typeof Intl.DisplayNames === "function" ? new Intl.DisplayNames(["en"], { type: "language" }) : null;

/** What a track or stem is called: “es · Spanish”. */
export function soundName(name: string): string {
  const known: Record<string, string> = {
    orig: "Original",
    control: "Control",
    vocals: "Vocals",
    background: "Background",
  };
  if (known[name]) return known[name];
  if (name.startsWith("speech.")) return `Speech: ${soundName(name.slice(7))}`;
  return languageName(name);
}

export function languageName(code: string): string {
  try {
    return NAMES?.of(code) ?? code;
  } catch {
    return code;
  }
}

export function State({ state }: { state: string }) {
  return <span class={`state state-${state}`}>{state}</span>;
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

const ICONS = {
  play: "M3 1.5v11l9-5.5z",
  pause: "M3 2h3v10H3zM8 2h3v10H8z",
  full: "M1 1h5v2H3v3H1zM8 1h5v5h-2V3H8zM1 8h2v3h3v2H1zM11 8h2v5H8v-2h3z",
};

export function Icon({ name }: { name: keyof typeof ICONS }) {
  return (
    <svg width="14" height="14" viewBox="0 0 14 14" aria-hidden="true">
      <path d={ICONS[name]} />
    </svg>
  );
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

/** A button that copies the request it stands for as a curl command. */
export function Curl(props: { method?: string; path: string; body?: unknown; command?: string; label?: string }) {
  const keys = useContext(Keys);
  const [copied, setCopied] = useState(false);
  const text = props.command ?? curl(props.method ?? "GET", props.path, keys, props.body);
  const word = copied ? "copied" : props.command ? "shell" : "curl";
  const copy = async (): Promise<void> => {
    try {
      await navigator.clipboard.writeText(text);
      setCopied(true);
      setTimeout(() => setCopied(false), 1500);
    } catch {
      prompt("Copy this command:", text);
    }
  };
  return (
    <button
      type="button"
      class="curl"
      title={text}
      aria-label={`${word} command for ${props.label ?? props.path}`}
      onClick={() => void copy()}
    >
      {word}
    </button>
  );
}

/** Rows of one height, of which only those that can be seen are there. */
export function Rows<T>(props: {
  items: T[];
  height: number;
  label: string;
  shown?: number | undefined;
  head?: JSX.Element;
  children: (item: T, index: number) => JSX.Element;
}) {
  const box = useRef<HTMLDivElement>(null);
  const [range, setRange] = useState<[number, number]>([0, 30]);
  const { items, height } = props;
  useEffect(() => {
    const at = box.current;
    if (!at) return;
    const look = (): void => {
      const first = Math.max(0, Math.floor(at.scrollTop / height) - 6);
      setRange([first, first + Math.ceil(at.clientHeight / height) + 12]);
    };
    look();
    at.addEventListener("scroll", look, { passive: true });
    const resized = new ResizeObserver(look);
    resized.observe(at);
    return () => {
      at.removeEventListener("scroll", look);
      resized.disconnect();
    };
  }, [height]);
  useEffect(() => {
    const at = box.current;
    if (!at || props.shown === undefined || props.shown < 0) return;
    const top = props.shown * height;
    if (top < at.scrollTop || top + height > at.scrollTop + at.clientHeight) at.scrollTop = top - at.clientHeight / 3;
  }, [props.shown, height]);
  const [first, last] = range;
  return (
    <div class="rows" ref={box} role="rowgroup" aria-label={props.label} tabIndex={0}>
      {props.head}
      <div class="rows-all" role="presentation" style={{ height: `${items.length * height}px` }}>
        {items.slice(first, last).map((item, offset) => props.children(item, first + offset))}
      </div>
    </div>
  );
}
