// One line: its text to be changed and dubbed again, and what it was before.

import { useEffect, useState } from "preact/hooks";
import { remember } from "../../client/activity";
import { get, send } from "../../client/requests";
import type { Job, Line, Version } from "../../client/resources";
import { Curl } from "../../components/curl-button";
import { clock, figure } from "../../components/format";
import { Trouble } from "../../components/status";
import type { Hearing } from "./playback";

export function LineEditor(props: {
  job: string;
  query: string;
  language: string;
  line: Line;
  hear: Hearing;
  busy: boolean;
}) {
  const { line, job, language } = props;
  const draft = `counterdub.draft/${job}/${props.query}/${language}/${line.id}`;
  const [text, setText] = useState(() => sessionStorage.getItem(draft) ?? line.text);
  const [versions, setVersions] = useState<Version[]>([]);
  const [error, setError] = useState<unknown>(null);
  useEffect(() => {
    get<Version[]>(`/v1/jobs/${job}/utterances/${language}/${line.id}/versions?${props.query}`).then(setVersions, () =>
      setVersions([]),
    );
  }, [job, language, line.id, line.text]);
  const write = (next: string): void => {
    setText(next);
    if (next === line.text) sessionStorage.removeItem(draft);
    else sessionStorage.setItem(draft, next);
  };
  const give = (next: string): void => {
    send<Job>("PATCH", line.href, { text: next }).then((changed) => {
      sessionStorage.removeItem(draft);
      setError(null);
      remember(changed);
    }, setError);
  };
  const around = (one: Line): [number, number] => [
    Math.max(0, Math.min(one.start, one.slot_start ?? one.start) - 0.25),
    Math.max(one.end, one.slot_end ?? one.end) + 0.25,
  ];
  return (
    <section class="editor" aria-label={`Line ${line.id}`}>
      <p class="quiet">
        {line.id} · {line.speaker}
        {line.voice ? ` · ${line.voice}` : ""} · {clock(line.start, 1)}–{clock(line.end, 1)}
        {line.loudness_difference_lu != null && ` · ${line.loudness_difference_lu.toFixed(1)} LU`}
        {line.round_trip_text && <> · heard again as “{line.round_trip_text}”</>}
      </p>
      <p class="editor-source">{line.source_text}</p>
      <form
        onSubmit={(event) => {
          event.preventDefault();
          give(text.trim());
        }}
      >
        <textarea
          id="line-text"
          rows={2}
          lang={language}
          maxLength={2000}
          aria-label="Translation"
          value={text}
          onInput={(event) => write(event.currentTarget.value)}
          onKeyDown={(event) => {
            if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) give(text.trim());
            if (event.key === "Escape") event.currentTarget.blur();
          }}
        />
        <div class="bottom">
          <button class="primary" type="submit" disabled={props.busy || !text.trim() || text.trim() === line.text}>
            Dub again
          </button>
          <button type="button" onClick={() => props.hear.range(...around(line))}>
            Hear this line
          </button>
          <Curl method="PATCH" path={line.href} body={{ text: text.trim() || line.text }} label="changing this line" />
          <span class="quiet" role="status">
            {props.busy ? "The line is being made…" : ""}
          </span>
        </div>
      </form>
      <Trouble error={error} />
      {versions.length > 0 && (
        <ol class="versions" aria-label="Earlier versions" reversed>
          {versions
            .slice()
            .reverse()
            .map((version) => (
              <li key={version.seq}>
                <span lang={language}>{version.line.text}</span>
                <button type="button" onClick={() => props.hear.old(version.href)}>
                  Hear as it was
                </button>
                {version.line.text !== line.text && (
                  <button
                    type="button"
                    disabled={props.busy}
                    onClick={() => {
                      write(version.line.text);
                      give(version.line.text);
                    }}
                  >
                    Bring back
                  </button>
                )}
                <span class="quiet">
                  {new Date(version.replaced).toLocaleString()} · CER {figure(version.line.round_trip_cer)}
                </span>
              </li>
            ))}
        </ol>
      )}
    </section>
  );
}
