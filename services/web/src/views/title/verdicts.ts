// What became of the shots of a title: which of their tracks were accepted, and why the others were not.

import { useEffect, useMemo, useState } from "preact/hooks";
import { get } from "../../client/requests";
import type { Dataset } from "../../client/resources";

export interface Verdict {
  track: string;
  accepted: boolean;
  reasons: string[];
  detail: string;
}

/** What became of each track of each shot. */
function verdictsOf(rows: Dataset | null): Map<number, Verdict[]> {
  const verdicts = new Map<number, Verdict[]>();
  if (!rows) return verdicts;
  const word = (column: string, row: number): string => {
    const labels = rows.labels[column]!;
    return labels.names[labels.codes[row]!] ?? "";
  };
  rows.shot.forEach((shot, row) => {
    if (shot === null) return;
    const verdict = {
      track: word("track", row),
      accepted: rows.accepted[row]!,
      reasons: rows.reasons[row]!,
      detail: word("detail", row),
    };
    verdicts.set(shot, [...(verdicts.get(shot) ?? []), verdict]);
  });
  return verdicts;
}

/** Number of a shot → the verdicts on its tracks; asked for once `ready`, and again after each of the job's endings. */
export function useVerdicts(jobId: string, query: string, ready: boolean, endings: number): Map<number, Verdict[]> {
  const [rows, setRows] = useState<Dataset | null>(null);
  useEffect(() => {
    if (!ready) return;
    const abort = new AbortController();
    get<Dataset>(`/v1/dataset?job=${jobId}&${query}`, abort.signal).then(setRows, () => undefined);
    return () => abort.abort();
  }, [ready, jobId, query, endings]);
  return useMemo(() => verdictsOf(rows), [rows]);
}
