// The list of jobs, live.

import { useEffect, useState } from "preact/hooks";
import { remember, useJobs } from "../client/activity";
import { get } from "../client/requests";
import type { Job, Page } from "../client/resources";
import { Curl } from "../components/curl-button";
import { ago } from "../components/format";
import { Bar, State, Trouble } from "../components/status";
import { address, useNoted } from "../route";

const STATES = ["", "running", "done", "failed", "cancelled"];

export function JobsView() {
  const live = useJobs();
  const [state, setState] = useNoted("state", "");
  const [name, setName] = useNoted("name", "");
  const [listed, setListed] = useState<string[] | null>(null);
  const [next, setNext] = useState<string | null>(null);
  const [error, setError] = useState<unknown>(null);
  const path = `/v1/jobs?limit=50${state ? `&state=${state}` : ""}${name ? `&name=${encodeURIComponent(name)}` : ""}`;

  const load = (cursor: string | null, signal?: AbortSignal): void => {
    get<Page<Job>>(cursor ? `${path}&cursor=${encodeURIComponent(cursor)}` : path, signal).then(
      (page) => {
        page.items.forEach(remember);
        const ids = page.items.map((job) => job.id);
        setListed((before) => (cursor && before ? [...before, ...ids] : ids));
        setNext(page.next ?? null);
        setError(null);
      },
      (problem: Error) => problem.name === "AbortError" || setError(problem),
    );
  };
  useEffect(() => {
    const abort = new AbortController();
    const wait = setTimeout(() => load(null, abort.signal), name ? 200 : 0);
    return () => {
      clearTimeout(wait);
      abort.abort();
    };
  }, [path]);

  const fits = (job: Job): boolean =>
    (!state || job.state === state) && job.name.toLowerCase().includes(name.toLowerCase());
  const shown = new Map<string, Job>();
  for (const job of live.values())
    if (listed && (listed.includes(job.id) || !listed.length || newer(job, listed, live))) shown.set(job.id, job);
  const rows = [...shown.values()].filter(fits).sort((a, b) => b.created.localeCompare(a.created));

  return (
    <section>
      <div class="heading">
        <h1>Jobs</h1>
        <div class="tools">
          <input
            type="search"
            placeholder="Name"
            aria-label="Part of the name"
            value={name}
            onInput={(event) => setName(event.currentTarget.value)}
          />
          <select aria-label="State" value={state} onChange={(event) => setState(event.currentTarget.value)}>
            {STATES.map((one) => (
              <option key={one} value={one}>
                {one || "any state"}
              </option>
            ))}
          </select>
          <a class="button primary" href={address(["submit"])}>
            Submit video
          </a>
          <Curl path={path} label="this list" />
        </div>
      </div>
      <Trouble error={error} />
      {listed && !rows.length && (
        <div class="empty">
          <p>
            {state || name ? "No job is like that." : "No jobs yet. Submit a video, and its dubs will appear here."}
          </p>
        </div>
      )}
      <ul class="jobs" aria-label="Jobs">
        {rows.map((job) => (
          <JobRow key={job.id} job={job} />
        ))}
      </ul>
      {next && (
        <button type="button" onClick={() => load(next)}>
          Older jobs
        </button>
      )}
    </section>
  );
}

/** Begun after the list was asked for. */
function newer(job: Job, listed: string[], live: Map<string, Job>): boolean {
  const first = live.get(listed[0] ?? "");
  return !first || job.created > first.created;
}

export function share(job: Job): number {
  const { tasks, tasks_ended } = job.progress;
  return job.state === "done" ? 1 : tasks ? tasks_ended / tasks : 0;
}

function JobRow({ job }: { job: Job }) {
  const { progress, summary } = job;
  return (
    <li>
      <a class="job-row" href={address(["jobs", job.id])}>
        <span class="job-name">{job.name || job.id.slice(0, 12)}</span>
        <span class="chips">
          {job.languages.map((code) => (
            <span class="chip" key={code}>
              {code}
            </span>
          ))}
        </span>
        <span class="job-count quiet">
          {progress.titles} {progress.titles === 1 ? "title" : "titles"}
          {progress.titles_failed > 0 && <b class="bad"> · {progress.titles_failed} failed</b>}
        </span>
        <span class="job-pairs quiet">
          {summary.accepted !== undefined
            ? `${summary.accepted} accepted · ${summary.rejected} rejected`
            : `${progress.tasks_ended} of ${progress.tasks} tasks`}
        </span>
        <Bar value={share(job)} label={`Progress of ${job.name || job.id}`} />
        <State state={job.state} />
        <span class="job-when quiet">{ago(job.created)}</span>
      </a>
    </li>
  );
}
