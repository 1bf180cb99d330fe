// Times, sizes, figures, languages and sounds as people read them.

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
