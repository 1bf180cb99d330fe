// Trainings: begin one from a recipe, see its curves grow, stop it, go on with it, take its checkpoint.

import { useEffect, useRef, useState } from "preact/hooks";
import { get, send } from "../client/requests";
import type { Job, MetricsPoint, NewTraining, Page, Recipe, StoredFile, Training } from "../client/resources";
import { about, ago, Bar, Curl, figure, State, size, Trouble } from "../components/ui";
import { address, go, here } from "../route";
import { Curves, type Point } from "./curves";

const OPEN = ["waiting", "running", "cancelling"];

export function TrainingsView() {
  const [trainings, setTrainings] = useState<Training[] | null>(null);
  const [recipes, setRecipes] = useState<Recipe[]>([]);
  const [jobs, setJobs] = useState<Job[]>([]);
  const [recipe, setRecipe] = useState("tiny-en");
  const [chosen, setChosen] = useState<string[]>(() => here().query.get("job")?.split(",") ?? []);
  const [settings, setSettings] = useState("");
  const [error, setError] = useState<unknown>(null);
  useEffect(() => {
    Promise.all([get<Recipe[]>("/v1/recipes"), get<Page<Job>>("/v1/jobs?state=done&limit=100")]).then(
      ([found, page]) => {
        setRecipes(found);
        setJobs(page.items);
      },
      setError,
    );
  }, []);
  usePolling(true, () =>
    get<Page<Training>>("/v1/trainings?limit=50").then((page) => setTrainings(page.items), setError),
  );
  const set = parsed(settings);
  const body: NewTraining = { recipe, jobs: chosen, ...(Object.keys(set).length && { set }) };
  const begin = (event: Event): void => {
    event.preventDefault();
    send<Training>("POST", "/v1/trainings", body).then((made) => go(["trainings", made.id]), setError);
  };
  const told = recipes.find((one) => one.name === recipe)?.description;
  return (
    <section>
      <div class="heading">
        <h1>Training</h1>
        <div class="tools">
          <Curl path="/v1/trainings" label="this list" />
        </div>
      </div>
      <Trouble error={error} />
      <form class="card begin" onSubmit={begin}>
        <h2>Begin a training</h2>
        <div class="columns">
          <div>
            <label>
              Recipe
              <select value={recipe} onChange={(event) => setRecipe(event.currentTarget.value)}>
                {recipes.map((one) => (
                  <option key={one.name} value={one.name}>
                    {one.name}
                  </option>
                ))}
              </select>
            </label>
            {told && <p class="quiet">{told}</p>}
            <label>
              Settings over the recipe’s, one a line
              <textarea
                rows={3}
                placeholder={"optimiser.steps = 200\ndata.batch_size = 8"}
                value={settings}
                onInput={(event) => setSettings(event.currentTarget.value)}
              />
            </label>
          </div>
          <fieldset>
            <legend>Pairs of</legend>
            {jobs.length === 0 && <p class="quiet">No job is done yet.</p>}
            {jobs.map((job) => (
              <label key={job.id} class="pick">
                <input
                  type="checkbox"
                  checked={chosen.includes(job.id)}
                  onChange={() =>
                    setChosen((before) =>
                      before.includes(job.id) ? before.filter((id) => id !== job.id) : [...before, job.id],
                    )
                  }
                />
                <span>
                  {job.name || job.id.slice(0, 12)} <span class="quiet">{job.summary.accepted ?? 0} accepted rows</span>
                </span>
              </label>
            ))}
          </fieldset>
        </div>
        <div class="bottom">
          <button class="primary" type="submit" disabled={!chosen.length}>
            Train
          </button>
          <Curl method="POST" path="/v1/trainings" body={body} label="this training" />
        </div>
      </form>
      {trainings?.length === 0 && <p class="empty">No trainings yet.</p>}
      <ul class="jobs" aria-label="Trainings">
        {trainings?.map((one) => (
          <li key={one.id}>
            <a class="job-row" href={address(["trainings", one.id])}>
              <span class="job-name">{one.name || one.recipe}</span>
              <span class="chips">
                <span class="chip">{one.recipe}</span>
              </span>
              <span class="job-count quiet">{OPEN.includes(one.state) ? one.phase : ""}</span>
              <span class="job-pairs quiet">
                step {one.step} · loss {figure(one.latest.loss, 3)}
              </span>
              <Bar value={one.state === "done" ? 1 : one.progress} label={`Progress of ${one.id}`} />
              <State state={one.state} />
              <span class="job-when quiet">{ago(one.created)}</span>
            </a>
          </li>
        ))}
      </ul>
    </section>
  );
}

/** Lines of `key = value` as settings; what is no number, truth or JSON is a text. */
function parsed(text: string): Record<string, unknown> {
  const found: Record<string, unknown> = {};
  for (const line of text.split("\n")) {
    const [, key, value] = /^\s*([\w.]+)\s*=\s*(.*?)\s*$/.exec(line) ?? [];
    if (!key || !value) continue;
    try {
      found[key] = JSON.parse(value);
    } catch {
      found[key] = value;
    }
  }
  return found;
}

export function TrainingView({ id }: { id: string }) {
  const base = `/v1/trainings/${id}`;
  const [training, setTraining] = useState<Training | null>(null);
  const [points, setPoints] = useState<Point[]>([]);
  const [error, setError] = useState<unknown>(null);
  const reached = useRef(0);
  const known = useRef(new Set<string>());
  const [files, setFiles] = useState<StoredFile[]>([]);
  const open = training === null || OPEN.includes(training.state);
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
    void send<Training>("POST", `${base}:${what}`).then((found) => {
      setTraining(found);
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
          {OPEN.includes(training.state) && ` · ${training.phase}`} · step {training.step}
          {training.started &&
            ` · for ${about((Date.parse(training.finished ?? new Date().toISOString()) - Date.parse(training.started)) / 1000)}`}
        </span>
        <div class="tools">
          {OPEN.includes(training.state) && (
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

/** Again every two seconds while it is looked at, and once at the end. */
function usePolling(open: boolean, look: () => Promise<unknown>): void {
  useEffect(() => {
    let timer = 0;
    let ended = false;
    const again = (): void => {
      const asked = document.hidden ? Promise.resolve() : look();
      void asked.finally(() => {
        if (!ended && open) timer = setTimeout(again, 2000) as unknown as number;
      });
    };
    again();
    return () => {
      ended = true;
      clearTimeout(timer);
    };
  }, [open]);
}
