// The pipeline's rules for rows (services/pairing/acceptance/criteria.py), so that thresholds can be tried out without asking.

import type { Dataset } from "../client/resources";

export interface Limit {
  setting: string;
  metric: string;
  name: string;
  unit: string;
  reason: string;
  least: boolean;
}

/** Every threshold that rows are judged by. `least`: values below it are rejected, else values above it. */
export const LIMITS: Limit[] = [
  {
    setting: "min_shot_seconds",
    metric: "seconds",
    name: "Shot, shortest",
    unit: "s",
    reason: "too_short",
    least: true,
  },
  {
    setting: "max_shot_seconds",
    metric: "seconds",
    name: "Shot, longest",
    unit: "s",
    reason: "too_long",
    least: false,
  },
  {
    setting: "max_round_trip_cer",
    metric: "round_trip_cer",
    name: "Round-trip error rate",
    unit: "",
    reason: "round_trip",
    least: false,
  },
  {
    setting: "min_isochrony_iou",
    metric: "isochrony_iou",
    name: "Isochrony IoU",
    unit: "",
    reason: "isochrony",
    least: true,
  },
  {
    setting: "max_loudness_difference_lu",
    metric: "loudness",
    name: "Loudness difference",
    unit: "LU",
    reason: "loudness",
    least: false,
  },
  { setting: "max_overflow_ms", metric: "overflow_ms", name: "Overflow", unit: "ms", reason: "overflow", least: false },
  {
    setting: "min_language_confidence",
    metric: "language_confidence",
    name: "Confidence in a wrong language",
    unit: "",
    reason: "wrong_language",
    least: false,
  },
  {
    setting: "max_null_residual_db",
    metric: "null_residual_db",
    name: "Null residual",
    unit: "dBFS",
    reason: "null_residual",
    least: false,
  },
  {
    setting: "max_residual_speech",
    metric: "residual_speech",
    name: "Speech in the background",
    unit: "",
    reason: "speech_in_background",
    least: false,
  },
];

/** Measures that nothing is rejected by. */
export const OTHERS: { metric: string; name: string; unit: string }[] = [
  { metric: "speaker_similarity", name: "Speaker similarity", unit: "" },
  { metric: "fit_ratio", name: "Fit ratio", unit: "" },
  { metric: "speech_dubbed", name: "Original's speech dubbed", unit: "" },
  { metric: "speech_ratio", name: "Speech in the shot", unit: "" },
];

const MIN_LANGUAGE_SECONDS = 2;
const JUDGED = new Set(["no_counterpart", ...LIMITS.map((limit) => limit.reason)]);

export interface Columns {
  rows: number;
  track: string[];
  language: string[];
  detected: string[];
  group: string[];
  fixed: boolean[];
  wrongBefore: boolean[];
  metrics: Record<string, (number | null)[]>;
}

export function columns(data: Dataset): Columns {
  const words = (name: string): string[] =>
    data.labels[name]!.codes.map((code) => data.labels[name]!.names[code] ?? "");
  const metric = (name: string): (number | null)[] => data.metrics[name] ?? [];
  const title = words("title");
  const [start, end] = [metric("start"), metric("end")];
  return {
    rows: data.rows,
    track: words("track"),
    language: words("language"),
    detected: words("detected_language"),
    group: title.map((one, row) => `${data.job[row]}/${one}/${data.shot[row] ?? "-"}`),
    fixed: data.reasons.map((reasons, row) => data.shot[row] === null || reasons.some((one) => !JUDGED.has(one))),
    wrongBefore: data.reasons.map((reasons) => reasons.includes("wrong_language")),
    metrics: {
      ...data.metrics,
      seconds: start.map((from, row) => (from === null || end[row] == null ? null : end[row]! - from)),
      loudness: metric("loudness_difference_lu").map((value) => (value === null ? null : Math.abs(value))),
    },
  };
}

/** Which rows are accepted under some thresholds. */
export function judge(data: Columns, limits: Record<string, number>): boolean[] {
  const at = (metric: string, row: number): number | null => data.metrics[metric]?.[row] ?? null;
  const above = (metric: string, row: number, most: number): boolean => (at(metric, row) ?? -Infinity) > most;
  const passed: boolean[] = [];
  const count = new Map<string, number>();
  for (let row = 0; row < data.rows; row++) {
    const track = data.track[row]!;
    const seconds = at("seconds", row) ?? 0;
    let out = data.fixed[row]! || seconds < limits.min_shot_seconds! || seconds > limits.max_shot_seconds!;
    if (!out && track !== "orig") {
      const iou = at("isochrony_iou", row);
      out =
        above("null_residual_db", row, limits.max_null_residual_db!) ||
        above("residual_speech", row, limits.max_residual_speech!) ||
        above("overflow_ms", row, limits.max_overflow_ms!) ||
        (track !== "control" && above("round_trip_cer", row, limits.max_round_trip_cer!)) ||
        above("loudness", row, limits.max_loudness_difference_lu!) ||
        (iou !== null && iou < limits.min_isochrony_iou!) ||
        wrong(data, row, seconds, limits.min_language_confidence!);
    }
    passed.push(!out);
    if (!out) count.set(data.group[row]!, (count.get(data.group[row]!) ?? 0) + 1);
  }
  // A pair is a shot with two or more of its tracks.
  return passed.map((one, row) => one && count.get(data.group[row]!)! > 1);
}

function wrong(data: Columns, row: number, seconds: number, least: number): boolean {
  const heard = data.detected[row]!;
  if (!heard || heard === data.language[row]) return false;
  const sure = data.metrics.language_confidence?.[row] ?? 0;
  // How long the judged speech was is not in the table; the share of the shot with speech stands for it.
  const enough = data.wrongBefore[row]! || (data.metrics.speech_ratio?.[row] ?? 0) * seconds >= MIN_LANGUAGE_SECONDS;
  return enough && sure >= least;
}
