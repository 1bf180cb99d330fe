// The texts of a title: the lines of those tracks that are looked at.

import { useEffect, useState } from "preact/hooks";
import { all } from "../../client/requests";
import type { Line } from "../../client/resources";

export interface Texts {
  /** Track → its lines, as far as they are here. */
  lines: Map<string, Line[]>;
  /** The first lines are there: what takes longer may begin. */
  ready: boolean;
}

/**
 * Lines of some tracks, and again when the sounds have changed.
 *
 * @param tracks what is read first comes first; nothing is asked for while it is null
 * @param source the language of the original: a track of that language is a dub of its own name
 * @param version stands for the sounds as they are
 */
export function useTexts(
  jobId: string,
  query: string,
  tracks: string[] | null,
  source: string | null,
  version: string,
): Texts {
  const [lines, setLines] = useState(new Map<string, Line[]>());
  const [ready, setReady] = useState(false);
  useEffect(() => {
    if (!tracks) return;
    const abort = new AbortController();
    const load = async (): Promise<void> => {
      // One after the other: the server is not asked for all at once.
      for (const track of tracks) {
        const label = track === source ? `${track}-revoiced` : track;
        await all<Line>(
          `/v1/jobs/${jobId}/utterances/${label}?${query}`,
          (some) => {
            setLines((known) => new Map(known).set(track, some));
            setReady(true);
          },
          abort.signal,
        ).catch(() => undefined);
      }
      setReady(true);
    };
    void load();
    return () => abort.abort();
  }, [(tracks ?? []).join(), version]);
  return { lines, ready };
}
