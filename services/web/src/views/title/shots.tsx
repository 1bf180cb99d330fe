// The shots of a title in a row: what they look like, whether they were kept, and if not, why.

import { useEffect, useMemo, useRef } from "preact/hooks";
import type { Shot } from "../../client/resources";
import { clock, soundName } from "../../components/format";
import { useVisibleRange } from "../../components/visible-range";
import { Thumbnails } from "../../player/thumbnails";
import type { Verdict } from "./verdicts";

const WIDTH = 124;

export function Shots(props: {
  shots: Shot[];
  verdicts: Map<number, Verdict[]>;
  video: string | null;
  current: number;
  seek: (at: number) => void;
}) {
  const box = useRef<HTMLDivElement>(null);
  const range = useVisibleRange(box, WIDTH, 2, "width");
  const thumbnails = useMemo(() => (props.video ? new Thumbnails(props.video) : null), [props.video]);
  useEffect(() => () => thumbnails?.close(), [thumbnails]);
  useEffect(() => {
    const at = box.current;
    const left = props.current * WIDTH;
    if (at && (left < at.scrollLeft || left + WIDTH > at.scrollLeft + at.clientWidth)) at.scrollLeft = left - WIDTH;
  }, [props.current]);
  const kept = props.shots.filter((shot) => props.verdicts.get(shot.index)?.some((one) => one.accepted)).length;
  return (
    <section class="strip-box" aria-label="Shots">
      <p class="quiet strip-said">
        {props.shots.length} shots, {kept} kept
      </p>
      <div class="strip" ref={box} tabIndex={0} role="group" aria-label="Shots in order of time">
        <div class="strip-all" style={{ width: `${props.shots.length * WIDTH}px` }}>
          {props.shots.slice(range[0], range[1]).map((shot, offset) => (
            <ShotCell
              key={shot.index}
              shot={shot}
              left={(range[0] + offset) * WIDTH}
              verdicts={props.verdicts.get(shot.index) ?? []}
              thumbnails={thumbnails}
              current={range[0] + offset === props.current}
              seek={props.seek}
            />
          ))}
        </div>
      </div>
    </section>
  );
}

function ShotCell(props: {
  shot: Shot;
  left: number;
  verdicts: Verdict[];
  thumbnails: Thumbnails | null;
  current: boolean;
  seek: (at: number) => void;
}) {
  const { shot, verdicts } = props;
  const canvas = useRef<HTMLCanvasElement>(null);
  useEffect(() => {
    return props.thumbnails?.want(shot.start + Math.min(0.2, (shot.end - shot.start) / 2), (picture) => {
      const at = canvas.current;
      if (!at) return;
      at.width = picture.width;
      at.height = picture.height;
      at.getContext("2d")?.drawImage(picture, 0, 0);
    });
  }, [props.thumbnails, shot.index]);
  const accepted = verdicts.filter((one) => one.accepted);
  const why = [...new Set(verdicts.flatMap((one) => one.reasons))].map((one) => one.replaceAll("_", " "));
  const title = verdicts
    .map(
      (one) =>
        `${soundName(one.track)}: ${one.accepted ? "kept" : one.reasons.join(", ").replaceAll("_", " ")}${one.detail ? ` (${one.detail})` : ""}`,
    )
    .join("\n");
  return (
    <button
      type="button"
      class={`shot ${props.current ? "shot-current" : ""} ${verdicts.length && !accepted.length ? "shot-rejected" : ""}`}
      style={{ left: `${props.left}px` }}
      title={title}
      onClick={() => props.seek(shot.start)}
    >
      {/* biome-ignore lint/a11y/noAriaHiddenOnFocusable: a canvas takes no focus. */}
      <canvas ref={canvas} width={112} height={63} aria-hidden="true" />
      <span class="shot-line">
        <span>
          <span class="hidden">Shot </span>
          {shot.index} · {clock(shot.start)}
        </span>
        <span>{(shot.end - shot.start).toFixed(1)} s</span>
      </span>
      <span class="shot-line">
        {accepted.length ? (
          <span class="good">kept · {accepted.length}</span>
        ) : (
          <span class="bad">
            {why[0] ?? ""}
            {why.length > 1 && <span class="hidden">, {why.slice(1).join(", ")}</span>}
          </span>
        )}
        <span class="dots" aria-hidden="true">
          {verdicts.map((one) => (
            <i key={one.track} class={one.accepted ? "dot-good" : "dot-bad"} />
          ))}
        </span>
      </span>
    </button>
  );
}
