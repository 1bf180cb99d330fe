// One training: its curves as they grow, its retrieval, its files; it can be stopped and gone on with.

import { useRef, useState } from "preact/hooks";
import { usePolling } from "../client/polling";
import { get, send } from "../client/requests";
import { type MetricsPoint, OPEN_TRAININGS, type Page, type StoredFile, type Training } from "../client/resources";
import { Curl } from "../components/curl-button";
import { about, figure, size } from "../components/format";
import { Bar, State, Trouble } from "../components/status";
import { Curves, type Point } from "./curves";

export function TrainingView({ id }: { id: string }) {
  const base = `/v1/trainings/${id}`;
  const [training, setTraining] = useState<Training | null>(null);
  const [points, setPoints] = useState<Point[]>([]);
  const [error, setError] = useState<unknown>(null);
  const reached = useRef(0);
  const known = useRef(new Set<string>());
  const [files, setFiles] = useState<StoredFile[]>([]);
  const open = training === null || OPEN_TRAININGS.includes(training.state);
  const look = async (): Promise<void> => {
    try {
      setTraining(await get<Training>(base));
      let cursor: string | null = null;
      do {
        // A step may be told of twice, of validation later: it is asked for again, and known lines are passed over.
        const more: string = cursor ? `&cursor=${encodeURIComponent(cursor)}` : "";
        const page: Page<MetricsPoint> = await get<Page<MetricsPoint>>(
          `${base}/metrics?since=${reached.current}&limit=5000${more}`,
        );
        const fresh = page.items.filter((one) => !known.current.has(`${one.step}/${one.kind}`));
        for (const one of fresh) known.current.add(`${one.step}/${one.kind}`);
        if (fresh.length)
          setPoints((before) => [...before, ...fresh.map((one) => ({ ...one.values, step: one.step }))]);
        reached.current = Math.max(reached.current, ...page.items.map((one) => one.step));
        cursor = page.next ?? null;
      } while (cursor);
      setFiles(await get<StoredFile[]>(`${base}/files`));
      setError(null);
    } catch (problem) {
      setError(problem);
    }
  };
  usePolling(open, look);
  const act = (what: string): void =>
    void send<Training>("POST", `${base}:${what}`).then((changed) => {
      setTraining(changed);
      setError(null);
    }, setError);
  if (!training) return <Trouble error={error} />;
  const evaluation = points.filter((point) => Object.keys(point).some((name) => name.startsWith("r1/")));
  return (
    <section class="training">
      <p class="crumbs">
        <a href="#/trainings">Training</a>
      </p>
      <div class="heading">
        <h1>{training.name || training.recipe}</h1>
        <State state={training.state} />
        <span class="quiet">
          {training.recipe}
          {OPEN_TRAININGS.includes(training.state) && ` · ${training.phase}`} · step {training.step}
          {training.started &&
            ` · for ${about((Date.parse(training.finished ?? new Date().toISOString()) - Date.parse(training.started)) / 1000)}`}
        </span>
        <div class="tools">
          {OPEN_TRAININGS.includes(training.state) && (
            <>
              <button type="button" disabled={training.state === "cancelling"} onClick={() => act("cancel")}>
                Cancel
              </button>
              <Curl method="POST" path={`${base}:cancel`} label="cancelling" />
            </>
          )}
          {["failed", "cancelled"].includes(training.state) && (
            <>
              <button type="button" onClick={() => act("resume")}>
                Go on
              </button>
              <Curl method="POST" path={`${base}:resume`} label="going on" />
            </>
          )}
          <Curl path={`${base}/metrics`} label="the metrics" />
        </div>
      </div>
      <Trouble error={error} />
      {training.error && (
        <div class="trouble" role="alert">
          <p>{training.error.message}</p>
          <code>{training.error.code}</code>
        </div>
      )}
      <Bar value={training.state === "done" ? 1 : training.progress} label="Progress of the training" />
      <Curves points={points} />
      {evaluation.length > 0 && <Evaluation points={evaluation} />}
      <div class="card">
        <h2>Take away</h2>
        <ul class="exports">
          {files.map((file) => (
            <li key={file.path}>
              <a class="button" href={file.href} download>
                {file.path}
              </a>
              <Curl path={file.href} label={file.path} />
              <span class="quiet">
                {size(file.bytes)}
                {file.path.endsWith(".pt") && training.checkpoint ? ` · step ${training.checkpoint.step}` : ""}
              </span>
            </li>
          ))}
        </ul>
        {files.length === 0 && <p class="quiet">Checkpoint, curves and recipe appear with the first checkpoint.</p>}
      </div>
    </section>
  );
}

function Evaluation({ points }: { points: Point[] }) {
  const last = points[points.length - 1]!;
  const names = [
    ...new Set(
      Object.keys(last)
        .filter((name) => /^r\d+\//.test(name))
        .map((name) => name.split("/")[1]!),
    ),
  ];
  return (
    <div class="card">
      <h2>Retrieval on held-out shots</h2>
      <div class="wide" tabIndex={0} role="region" aria-label="Retrieval">
        <table class="plain">
          <thead>
            <tr>
              <th>step {last.step}</th>
              {["r1", "r5", "r10"].map((at) => (
                <th key={at}>{at.toUpperCase().replace("R", "R@")}</th>
              ))}
            </tr>
          </thead>
          <tbody>
            {names.map((name) => (
              <tr key={name}>
                <th scope="row">{name}</th>
                {["r1", "r5", "r10"].map((at) => (
                  <td key={at}>{figure(last[`${at}/${name}`] as number | undefined, 3)}</td>
                ))}
              </tr>
            ))}
            {typeof last.chance === "number" && (
              <tr>
                <th scope="row">chance</th>
                <td>{figure(last.chance, 3)}</td>
                <td />
                <td />
              </tr>
            )}
          </tbody>
        </table>
      </div>
    </div>
  );
}
