// One job: stages × languages as they go, its titles, what went wrong and what to do about it, what can be taken away.

import { useEffect, useRef, useState } from "preact/hooks";
import { forget, remember, useJobs } from "../client/activity";
import { all, get, send } from "../client/requests";
import type { Cell, Job, Tasks, Title } from "../client/resources";
import { Curl } from "../components/curl-button";
import { about, ago, languageName } from "../components/format";
import { Bar, State, Trouble } from "../components/status";
import { address, go } from "../route";
import { Exports } from "./exports";
import { share } from "./jobs";

export function JobView({ id }: { id: string }) {
  const live = useJobs(id);
  const job = live.get(id);
  const [tasks, setTasks] = useState<Tasks | null>(null);
  const [titles, setTitles] = useState<Title[]>([]);
  const [error, setError] = useState<unknown>(null);
  const asking = useRef(false);

  useEffect(() => {
    get<Job>(`/v1/jobs/${id}`).then(remember, setError);
  }, [id]);
  // Whenever the job is told of anew, its details are asked for: at most once at a time.
  useEffect(() => {
    if (!job || asking.current) return;
    asking.current = true;
    Promise.all([get<Tasks>(`/v1/jobs/${id}/tasks`), all<Title>(`/v1/jobs/${id}/titles`, () => undefined)])
      .then(([newTasks, newTitles]) => {
        setTasks(newTasks);
        setTitles(newTitles);
      }, setError)
      .finally(() => {
        asking.current = false;
      });
  }, [job]);
  const ended = job !== undefined && !["running", "cancelling"].includes(job.state);

  if (!job) return <Trouble error={error} />;
  const act = (method: string, path: string, then?: () => void): void => {
    send<Job | null>(method, path).then((changed) => {
      if (changed) remember(changed);
      setError(null);
      then?.();
    }, setError);
  };
  const base = `/v1/jobs/${id}`;
  return (
    <section>
      <p class="crumbs">
        <a href="#/">Jobs</a>
      </p>
      <div class="heading">
        <h1>{job.name || id.slice(0, 12)}</h1>
        <State state={job.state} />
        <span class="quiet">
          {job.languages.map(languageName).join(", ")} · {job.profile} · {ago(job.created)}
        </span>
        <div class="tools">
          {!ended && (
            <button type="button" disabled={job.state === "cancelling"} onClick={() => act("POST", `${base}:cancel`)}>
              Cancel
            </button>
          )}
          {!ended && <Curl method="POST" path={`${base}:cancel`} label="cancelling" />}
          {ended && (job.state !== "done" || job.progress.titles_failed > 0 || (tasks?.errors.length ?? 0) > 0) && (
            <>
              <button type="button" onClick={() => act("POST", `${base}:retry`)}>
                Retry failed parts
              </button>
              <Curl method="POST" path={`${base}:retry`} label="retrying" />
            </>
          )}
          {ended && (
            <button
              type="button"
              onClick={() =>
                confirm("Forget this job, its results and its events?") &&
                act("DELETE", base, () => {
                  forget(id);
                  go([]);
                })
              }
            >
              Delete
            </button>
          )}
          <Curl path={base} label="this job" />
        </div>
      </div>
      <Trouble error={error} />
      <div class="overall">
        <Bar value={share(job)} label="Progress of the job" />
        <span class="quiet" aria-live="polite">
          {job.progress.tasks_ended} of {job.progress.tasks} tasks
          {!ended && tasks?.seconds_left != null && ` · about ${about(tasks.seconds_left)} left of what is planned`}
          {ended &&
            job.summary.accepted !== undefined &&
            ` · ${job.summary.accepted} rows accepted, ${job.summary.rejected} rejected`}
        </span>
      </div>
      {tasks && <Grid tasks={tasks} ended={ended} />}
      {tasks && tasks.errors.length > 0 && <Errors tasks={tasks} />}
      <Titles job={id} titles={titles} />
      {ended && <Exports job={job} titles={titles} />}
    </section>
  );
}

function Grid({ tasks, ended }: { tasks: Tasks; ended: boolean }) {
  const languages = [...new Set(tasks.cells.map((cell) => cell.language ?? ""))].sort();
  const stages = [...new Set(tasks.cells.map((cell) => cell.stage))];
  const at = (stage: string, language: string): Cell | undefined =>
    tasks.cells.find((cell) => cell.stage === stage && (cell.language ?? "") === language);
  const queues = Object.entries(tasks.queues).filter(([, depth]) => depth.ready || depth.running);
  return (
    <div class="card">
      <h2>Stages and languages</h2>
      <div class="wide" tabIndex={0} role="region" aria-label="Stages by language">
        <table class="grid">
          <thead>
            <tr>
              <td />
              {stages.map((stage) => (
                <th scope="col" key={stage}>
                  {stage}
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {languages.map((code) => (
              <tr key={code}>
                <th scope="row">{code ? languageName(code) : "title"}</th>
                {stages.map((stage) => (
                  <td key={stage}>
                    <CellView cell={at(stage, code)} />
                  </td>
                ))}
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      {!ended && (
        <p class="quiet">
          Queues of this server:{" "}
          {queues.length
            ? queues.map(([name, depth]) => `${name} ${depth.running} running, ${depth.ready} waiting`).join(" · ")
            : "nothing waits"}
        </p>
      )}
    </div>
  );
}

function CellView({ cell }: { cell: Cell | undefined }) {
  if (!cell) return null;
  const total = Object.values(cell.states).reduce((sum, one) => sum + one, 0);
  const done = cell.states.done ?? 0;
  const worst = cell.states.failed
    ? "failed"
    : cell.states.running
      ? "running"
      : done === total
        ? "done"
        : cell.states.resting
          ? "resting"
          : "waiting";
  const said = Object.entries(cell.states)
    .map(([state, number]) => `${number} ${state}`)
    .join(", ");
  return (
    <span
      class={`cell cell-${worst}`}
      title={`${said}${cell.cached ? `, ${cell.cached} found` : ""}, ${cell.seconds.toFixed(1)} s`}
    >
      <span class="cell-fill" style={{ width: `${(100 * (done + cell.progress)) / total}%` }} />
      <span class="cell-text">{worst === "failed" ? `${cell.states.failed} failed` : `${done}/${total}`}</span>
    </span>
  );
}

function Errors({ tasks }: { tasks: Tasks }) {
  return (
    <div class="card">
      <h2>What went wrong</h2>
      <ul class="errors">
        {tasks.errors.map((one) => (
          <li key={one.title + one.task}>
            <b>{one.title || "whole job"}</b> · {one.stage}
            {one.language ? ` · ${languageName(one.language)}` : ""}
            <p>
              {one.error.message} <code>{one.error.code}</code>
            </p>
            <p class="quiet">
              {one.error.retryable
                ? "May go away by itself: retry the failed parts."
                : "Will not go away by itself: change what the message names, then submit or retry."}
            </p>
          </li>
        ))}
      </ul>
    </div>
  );
}

function Titles({ job, titles }: { job: string; titles: Title[] }) {
  return (
    <div class="card">
      <h2>Titles</h2>
      <ul class="titles">
        {titles.map((title) => (
          <li key={title.name}>
            <a href={address(["jobs", job, "titles", title.name])}>{title.name}</a>
            <span class="quiet">{title.source_name}</span>
            <State state={title.state} />
            {title.tasks_open > 0 && <span class="quiet">{title.tasks_open} tasks to do</span>}
            {title.error && (
              <span class="bad">
                {title.error.message} <code>{title.error.code}</code>
              </span>
            )}
          </li>
        ))}
      </ul>
    </div>
  );
}
