// What the server knows of a title: its record and its sounds, asked for anew when its job has ended again.

import { useEffect, useRef, useState } from "preact/hooks";
import { useJobs } from "../../client/activity";
import { get } from "../../client/requests";
import type { Job, Sound, TitleRecord } from "../../client/resources";

export interface TitleState {
  job: Job | undefined;
  /** The job runs: what is shown may be made anew. */
  busy: boolean;
  record: TitleRecord | null;
  sounds: Sound[];
  /** How often the job has ended since the page was opened; what depends on its results is asked for again. */
  endings: number;
  error: unknown;
  setError: (error: unknown) => void;
}

export function useTitleState(jobId: string, title: string): TitleState {
  const job = useJobs(jobId).get(jobId);
  const busy = job !== undefined && ["running", "cancelling"].includes(job.state);
  const [record, setRecord] = useState<TitleRecord | null>(null);
  const [sounds, setSounds] = useState<Sound[]>([]);
  const [endings, setEndings] = useState(0);
  const [error, setError] = useState<unknown>(null);
  const eventsBefore = useRef<number | undefined>(undefined);
  useEffect(() => {
    if (!job || busy) return;
    if (eventsBefore.current !== undefined && eventsBefore.current !== job.events) setEndings((count) => count + 1);
    eventsBefore.current = job.events;
  }, [job, busy]);
  useEffect(() => {
    const abort = new AbortController();
    const base = `/v1/jobs/${jobId}`;
    const name = encodeURIComponent(title);
    Promise.all([
      get<TitleRecord>(`${base}/titles/${name}`, abort.signal),
      get<Sound[]>(`${base}/sounds?title=${name}`, abort.signal),
    ]).then(
      ([newRecord, newSounds]) => {
        setRecord(newRecord);
        setSounds(newSounds);
        setError(null);
      },
      (problem: Error) => problem.name !== "AbortError" && setError(problem),
    );
    return () => abort.abort();
  }, [jobId, title, endings]);
  return { job, busy, record, sounds, endings, error, setError };
}
