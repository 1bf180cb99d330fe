// All rows of some jobs: how every measure is spread, and what other thresholds would accept.

import { useEffect, useMemo, useState } from "preact/hooks";
import { get } from "../client/requests";
import type { Dataset, Job, Page } from "../client/resources";
import { Curl } from "../components/curl-button";
import { figure, languageName, soundName } from "../components/format";
import { Trouble } from "../components/status";
import { here, note, useNoted } from "../route";
import type { Columns, Limit } from "./criteria";
import { columns, judge, LIMITS, OTHERS } from "./criteria";

const BINS = 40;

export function DatasetView() {
  const [named, setNamed] = useNoted("job", "");
  const [jobs, setJobs] = useState<Job[]>([]);
  const [data, setData] = useState<Dataset | null>(null);
  const [error, setError] = useState<unknown>(null);
  const [limits, setLimits] = useState<Record<string, number>>({});
  const path = `/v1/dataset${
    named
      ? `?${named
          .split(",")
          .map((id) => `job=${id}`)
          .join("&")}`
      : ""
  }`;
  useEffect(() => {
    get<Page<Job>>("/v1/jobs?state=done&limit=100").then((page) => setJobs(page.items), setError);
  }, []);
  useEffect(() => {
    const abort = new AbortController();
    get<Dataset>(path, abort.signal).then(
      (dataset) => {
        setData(dataset);
        setError(null);
        const noted = Object.fromEntries(
          LIMITS.map((one) => [one.setting, here().query.get(one.setting)])
            .filter(([, value]) => value)
            .map(([name, value]) => [name, Number(value)]),
        );
        setLimits({ ...dataset.thresholds, ...noted });
      },
      (problem: Error) => problem.name !== "AbortError" && setError(problem),
    );
    return () => abort.abort();
  }, [path]);
  const table = useMemo(() => (data ? columns(data) : null), [data]);
  const accepted = useMemo(() => (table && "min_shot_seconds" in limits ? judge(table, limits) : []), [table, limits]);
  const moved = data ? LIMITS.filter((one) => limits[one.setting] !== data.thresholds[one.setting]) : [];
  const set = (name: string, value: number): void => {
    setLimits((before) => ({ ...before, [name]: value }));
    note({ [name]: value === data?.thresholds[name] ? undefined : String(value) });
  };
  const settings = { pairing: Object.fromEntries(moved.map((one) => [one.setting, limits[one.setting]])) };
  const count = accepted.filter(Boolean).length;
  const before = data?.accepted.filter(Boolean).length ?? 0;
  return (
    <section class="dataset">
      <div class="heading">
        <h1>Dataset</h1>
        <div class="tools">
          <select aria-label="Job" value={named} onChange={(event) => setNamed(event.currentTarget.value)}>
            <option value="">all finished jobs</option>
            {jobs.map((job) => (
              <option key={job.id} value={job.id}>
                {job.name || job.id.slice(0, 12)}
              </option>
            ))}
          </select>
          <Curl path={path} label="these rows" />
        </div>
      </div>
      <Trouble error={error} />
      {data && !data.rows && <p class="empty">No rows yet: they come with the first finished job.</p>}
      {data && table && data.rows > 0 && (
        <>
          <div class="card counts">
            <p class="count">
              <b data-count={count}>{count}</b> of {data.rows} rows accepted{" "}
              <span class="quiet">({before} as they were judged)</span>
            </p>
            {data.total > data.rows && (
              <p class="warn">
                {data.total} rows are there; the first {data.rows} are shown.
              </p>
            )}
            <Languages table={table} accepted={accepted} />
            <div class="tools">
              {moved.length > 0 && (
                <>
                  <span class="quiet">To keep these thresholds, submit again with</span>
                  <Curl
                    path=""
                    label="these thresholds"
                    command={`--set ${moved.map((one) => `pairing.${one.setting}=${limits[one.setting]}`).join(" --set ")}`}
                  />
                  <span class="quiet">
                    or as <code>settings</code>
                  </span>
                  <Curl path="" label="these thresholds as settings" command={JSON.stringify(settings)} />
                  <button
                    type="button"
                    onClick={() => {
                      for (const one of LIMITS) set(one.setting, data.thresholds[one.setting]!);
                    }}
                  >
                    As they were
                  </button>
                </>
              )}
            </div>
          </div>
          <div class="plots">
            {LIMITS.map((limit) => (
              <Plot
                key={limit.setting}
                name={limit.name}
                unit={limit.unit}
                values={table.metrics[limit.metric] ?? []}
                table={table}
                accepted={accepted}
                limit={limit}
                value={limits[limit.setting]}
                set={(value) => set(limit.setting, value)}
              />
            ))}
            {OTHERS.map((one) => (
              <Plot
                key={one.metric}
                name={one.name}
                unit={one.unit}
                values={table.metrics[one.metric] ?? []}
                table={table}
                accepted={accepted}
              />
            ))}
          </div>
        </>
      )}
    </section>
  );
}

function Languages({ table, accepted }: { table: Columns; accepted: boolean[] }) {
  const counts = new Map<string, [number, number]>();
  table.track.forEach((track, row) => {
    const [some, all] = counts.get(track) ?? [0, 0];
    counts.set(track, [some + (accepted[row] ? 1 : 0), all + 1]);
  });
  return (
    <ul class="by-language" aria-label="Accepted by track">
      {[...counts]
        .filter(([track]) => track)
        .map(([track, [some, all]]) => (
          <li key={track}>
            <span>{["orig", "control"].includes(track) ? soundName(track) : languageName(track)}</span>
            <span class="bar" aria-hidden="true">
              <span class="bar-fill" style={{ width: `${(100 * some) / all}%` }} />
            </span>
            <span class="quiet">
              {some} of {all}
            </span>
          </li>
        ))}
    </ul>
  );
}

function Plot(props: {
  name: string;
  unit: string;
  values: (number | null)[];
  table: Columns;
  accepted: boolean[];
  limit?: Limit;
  value?: number | undefined;
  set?: (value: number) => void;
}) {
  const { values, accepted, limit, value } = props;
  // Shot lengths are the shot's, so one track speaks for all; the others are measured on synthetic tracks.
  const counted =
    limit?.metric === "seconds"
      ? (row: number) => props.table.track[row] === "orig"
      : (row: number) => props.table.track[row] !== "orig";
  const [low, high] = useMemo(() => spread(values, limit?.metric), [values]);
  const bins = useMemo(() => {
    const counts = Array.from({ length: BINS }, () => [0, 0] as [number, number]);
    values.forEach((one, row) => {
      if (one === null || !counted(row)) return;
      const bin = Math.min(BINS - 1, Math.max(0, Math.floor(((one - low) / (high - low)) * BINS)));
      counts[bin]![accepted[row] ? 0 : 1]++;
    });
    return counts;
  }, [values, accepted, low, high]);
  const most = Math.max(1, ...bins.map(([yes, no]) => yes + no));
  const total = bins.reduce((sum, [yes, no]) => sum + yes + no, 0);
  const step = (high - low) / 200;
  const at = value === undefined ? 0 : Math.min(1, Math.max(0, (value - low) / (high - low)));
  return (
    <figure class="card plot" data-setting={limit?.setting}>
      <figcaption>
        {props.name}
        {limit && value !== undefined && (
          <output>
            {limit.least ? "≥" : "≤"} {figure(value, step < 0.1 ? 2 : 1)} {props.unit}
          </output>
        )}
      </figcaption>
      <div class="plot-box">
        <svg
          viewBox={`0 0 ${BINS * 5} 60`}
          preserveAspectRatio="none"
          role="img"
          aria-label={`${props.name}: ${total} values from ${figure(low)} to ${figure(high)} ${props.unit}`}
        >
          {bins.map(([yes, no], bin) => (
            <g key={bin}>
              <rect class="yes" x={bin * 5 + 0.5} width={4} y={60 - (58 * yes) / most} height={(58 * yes) / most} />
              <rect
                class="no"
                x={bin * 5 + 0.5}
                width={4}
                y={60 - (58 * (yes + no)) / most}
                height={(58 * no) / most}
              />
            </g>
          ))}
        </svg>
        {limit && value !== undefined && (
          <span class="plot-limit" style={{ left: `${100 * at}%` }} aria-hidden="true" />
        )}
        {limit && value !== undefined && (
          <input
            class="plot-drag"
            type="range"
            min={low}
            max={high}
            step={step}
            value={value}
            aria-label={`Threshold: ${props.name}`}
            onInput={(event) => props.set?.(Number(Number(event.currentTarget.value).toPrecision(4)))}
          />
        )}
      </div>
      <p class="plot-ends quiet">
        <span>{figure(low, 1)}</span>
        <span>{total ? "" : "not measured"}</span>
        <span>
          {figure(high, 1)} {props.unit}
        </span>
      </p>
    </figure>
  );
}

/** What a histogram shows: all values, and for shares the whole scale. */
function spread(values: (number | null)[], metric?: string): [number, number] {
  const known = values.filter((one): one is number => one !== null && one > -199);
  let [low, high] = [Infinity, -Infinity];
  for (const one of known) {
    low = Math.min(low, one);
    high = Math.max(high, one);
  }
  const whole: Record<string, [number, number]> = {
    seconds: [0, 15],
    round_trip_cer: [0, 1],
    isochrony_iou: [0, 1],
    speech_dubbed: [0, 1],
    language_confidence: [0, 1],
    loudness: [0, 10],
    overflow_ms: [0, 200],
    null_residual_db: [-120, 0],
    residual_speech: [0, 1],
  };
  const [least, largest] = whole[metric ?? ""] ?? [Math.min(0, low), Math.max(1, high)];
  return [Math.min(least, low), Math.max(largest, high)];
}
