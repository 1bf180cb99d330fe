// What happens to jobs, as it happens: one stream for the whole page, closed while nobody looks at it.

import { useEffect, useState } from "preact/hooks";
import type { Job } from "./resources";

const jobs = new Map<string, Job>();
const listeners = new Set<() => void>();
let stream: EventSource | null = null;
let followed: string | undefined;

function open(): void {
  if (stream || document.hidden || !listeners.size) return;
  stream = new EventSource(`/v1/activity${followed ? `?job=${followed}` : ""}`);
  stream.addEventListener("job", (event) => {
    const job = JSON.parse((event as MessageEvent<string>).data) as Job;
    jobs.set(job.id, job);
    for (const listener of listeners) listener();
  });
  // A refusal ends it for good; whoever comes back to the page begins anew.
  stream.onerror = () => {
    if (stream?.readyState === EventSource.CLOSED) {
      close();
      setTimeout(open, 5000);
    }
  };
}

function close(): void {
  stream?.close();
  stream = null;
}

document.addEventListener("visibilitychange", () => (document.hidden ? close() : open()));

/** Every job as it was last told of; renders anew when one changes. `job`: followed however old it is. */
export function useJobs(job?: string): Map<string, Job> {
  const [, tick] = useState(0);
  useEffect(() => {
    const listener = (): void => tick((count) => count + 1);
    listeners.add(listener);
    if (followed !== job) close();
    followed = job;
    open();
    return () => {
      listeners.delete(listener);
      if (!listeners.size) close();
    };
  }, []);
  return jobs;
}

export function remember(job: Job): void {
  jobs.set(job.id, job);
  for (const listener of listeners) listener();
}

export function forget(id: string): void {
  jobs.delete(id);
  for (const listener of listeners) listener();
}
