// The lines of a title: source, translation, who speaks, how it fits, what was heard again; each can be changed.

// biome-ignore-all lint/a11y/useFocusableInteractive: rows and headers of a role=table take no focus, only a grid's do.

import { useState } from "preact/hooks";
import type { Line } from "../../client/resources";
import { Curl } from "../../components/curl-button";
import { clock, figure, languageName } from "../../components/format";
import { Rows } from "../../components/rows";
import { LineEditor } from "./line-editor";
import type { Hearing } from "./playback";

const HEIGHT = 46;

const NAMES = (
  <div class="line-row line-names" role="row">
    {["time", "who", "source", "translation", "slot", "CER", "voice"].map((name) => (
      <span key={name} role="columnheader">
        {name}
      </span>
    ))}
  </div>
);

export function Lines(props: {
  job: string;
  query: string;
  language: string;
  lines: Line[];
  now: number;
  chosen: string;
  choose: (id: string) => void;
  hear: Hearing;
  busy: boolean;
}) {
  const { lines, chosen } = props;
  const [filter, setFilter] = useState("");
  const wanted = filter.toLowerCase();
  const shown = wanted
    ? lines.filter((line) => `${line.id} ${line.text} ${line.source_text ?? ""}`.toLowerCase().includes(wanted))
    : lines;
  const at = shown.findIndex((line) => line.id === chosen);
  const line = lines.find((one) => one.id === chosen);
  return (
    <section class="card lines" aria-label="Lines">
      <div class="heading">
        <h2>Lines</h2>
        <span class="quiet">
          {languageName(props.language)} · {lines.length}
        </span>
        <div class="tools">
          <input
            type="search"
            placeholder="Find"
            aria-label="Find a line"
            value={filter}
            onInput={(event) => setFilter(event.currentTarget.value)}
          />
          <Curl path={`/v1/jobs/${props.job}/utterances/${props.language}?${props.query}`} label="these lines" />
        </div>
      </div>
      <div
        class="line-table"
        role="table"
        aria-label={`Lines in ${languageName(props.language)}`}
        aria-rowcount={shown.length}
      >
        <Rows items={shown} height={HEIGHT} label="Lines" shown={at} head={NAMES}>
          {(one, index) => (
            // biome-ignore lint/a11y/useKeyWithClickEvents: the button in the row does the same, by keyboard too.
            <div
              key={one.id}
              role="row"
              aria-rowindex={index + 1}
              aria-selected={one.id === chosen}
              class={`line-row ${one.id === chosen ? "line-chosen" : ""} ${one.start <= props.now && props.now < one.end ? "line-now" : ""} ${one.status !== "ok" ? "line-off" : ""}`}
              style={{ top: `${index * HEIGHT}px` }}
              onClick={() => props.choose(one.id)}
            >
              <span role="cell">
                <button
                  type="button"
                  class="link"
                  aria-label={`${clock(one.source_start ?? one.start, 1)}, line ${one.id}`}
                  onClick={() => props.choose(one.id)}
                >
                  {clock(one.source_start ?? one.start, 1)}
                </button>
              </span>
              <span role="cell">{one.speaker}</span>
              <span role="cell" class="line-text">
                {one.source_text ?? ""}
              </span>
              <span role="cell" class="line-text" lang={one.language}>
                {one.text}
                {one.edited && (
                  <i class="mark" title="written by a person">
                    {" "}
                    ✎
                  </i>
                )}
                {one.status !== "ok" && (
                  <i class="bad">
                    {" "}
                    {one.status}
                    {one.reason ? `: ${one.reason.replaceAll("_", " ")}` : ""}
                  </i>
                )}
              </span>
              <span role="cell">
                <Fit line={one} />
              </span>
              <span role="cell" class={(one.round_trip_cer ?? 0) > 0.5 ? "bad" : ""}>
                {figure(one.round_trip_cer)}
              </span>
              <span role="cell">{figure(one.speaker_similarity)}</span>
            </div>
          )}
        </Rows>
      </div>
      {line && <LineEditor key={line.id + props.language} {...props} line={line} />}
    </section>
  );
}

/** The slot as a bar, and how much of it the speech fills. */
function Fit({ line }: { line: Line }) {
  if (line.slot_start === undefined || line.slot_end === undefined) return <>–</>;
  const slot = line.slot_end - line.slot_start;
  const share = slot > 0 ? (line.end - line.start) / slot : 0;
  const over = (line.overflow_ms ?? 0) > 0;
  return (
    <span
      class="fit"
      title={`slot ${slot.toFixed(2)} s, speech ${(line.end - line.start).toFixed(2)} s${line.stretch ? `, tempo × ${line.stretch.toFixed(2)}` : ""}${over ? `, runs over by ${line.overflow_ms!.toFixed(0)} ms` : ""}`}
    >
      <span class={`fit-fill ${over ? "fit-over" : ""}`} style={{ width: `${Math.min(100, 100 * share)}%` }} />
      <span class="fit-text">
        {(line.end - line.start).toFixed(1)} / {slot.toFixed(1)} s
      </span>
    </span>
  );
}
