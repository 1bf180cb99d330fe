// Who speaks for whom, and an audition of each voice: the speaker, the chosen voice, the next best ones.

import { useEffect, useState } from "preact/hooks";
import { get, send } from "../../client/requests";
import type { CastVoice } from "../../client/resources";
import { Curl } from "../../components/curl-button";
import { figure, languageName } from "../../components/format";

export function Voices(props: {
  job: string;
  query: string;
  language: string;
  /** The job runs, so that nothing else can be asked of it. */
  busy: boolean;
  /** Changes when the title was made again. */
  version: string;
  fail: (error: unknown) => void;
}) {
  const { job, query, language, busy, version, fail } = props;
  const [voices, setVoices] = useState<CastVoice[]>([]);
  const [asked, setAsked] = useState(false);
  const base = `/v1/jobs/${job}`;
  useEffect(() => {
    const abort = new AbortController();
    get<CastVoice[]>(`${base}/voices?${query}`, abort.signal).then(setVoices, (problem: Error) => {
      if (problem.name !== "AbortError") fail(problem);
    });
    setAsked(false);
    return () => abort.abort();
  }, [job, query, version]);
  const spoken = voices.filter((one) => one.language === language);
  if (!spoken.length) return null;
  const audition = (): void => {
    setAsked(true);
    send("POST", `${base}/auditions`).catch((problem: unknown) => {
      setAsked(false);
      fail(problem);
    });
  };
  return (
    <section class="card voices" aria-label="Voices">
      <div class="heading">
        <h2>Voices</h2>
        <span class="quiet">{languageName(language)}</span>
        <div class="tools">
          {!spoken.every((one) => one.auditioned) && (
            <button type="button" disabled={busy || asked} onClick={audition}>
              Audition
            </button>
          )}
          <Curl path={`${base}/voices?${query}`} label="these voices" />
        </div>
      </div>
      <ul>
        {spoken.map((one) => (
          <li key={one.speaker}>
            <b>{one.speaker}</b> {one.voice}
            <span class="quiet">
              {" "}
              similarity {figure(one.similarity)}
              {one.native ? "" : ", not native"}
              {one.alternatives.length > 0 && `; then ${one.alternatives.map((other) => other.voice).join(", ")}`}
            </span>
            {one.auditioned && (
              // biome-ignore lint/a11y/useMediaCaption: the line that is said stands in the table of lines.
              <audio
                controls
                preload="none"
                aria-label={`${one.speaker}, the chosen voice and the next best ones`}
                src={`${base}/voices/${language}/${encodeURIComponent(one.speaker)}/audition?${query}`}
              />
            )}
          </li>
        ))}
      </ul>
    </section>
  );
}
