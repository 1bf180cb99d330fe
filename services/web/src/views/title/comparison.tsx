// Two sounds under one another and what is between them: waveforms, spectrograms, and where lines are.

import { useEffect, useRef, useState } from "preact/hooks";
import { ask, get } from "../../client/requests";
import type { Line, Peaks, Sound } from "../../client/resources";
import { soundName } from "../../components/format";

const POINTS = 1000;
const HEIGHT = 96;
const MAGMA =
  "000004 0a0822 1d1147 36106b 51127c 6a1c81 832681 9c2e7f b73779 d0416f e75263 f56b5c fc8961 fea772 fec488 fcfdbf".split(
    " ",
  );

const PALETTE = ((): Uint8ClampedArray => {
  const rgb = MAGMA.map((code) => [0, 2, 4].map((at) => parseInt(code.slice(at, at + 2), 16)));
  const colours = new Uint8ClampedArray(1024);
  for (let level = 0; level < 256; level++) {
    const at = (level / 255) * (rgb.length - 1);
    const [low, high] = [rgb[Math.floor(at)]!, rgb[Math.ceil(at)]!];
    for (let c = 0; c < 3; c++) colours[level * 4 + c] = low[c]! + (high[c]! - low[c]!) * (at % 1);
    colours[level * 4 + 3] = 255;
  }
  return colours;
})();

export function Comparison(props: {
  base: string;
  query: string;
  sounds: Sound[];
  a: string;
  b: string;
  choose: (which: "a" | "b", name: string) => void;
  start: number;
  zoom: number;
  setZoom: (seconds: number) => void;
  lines: Map<string, Line[]>;
  seek: (at: number) => void;
  head: (place: HTMLElement | null) => void;
}) {
  const { a, b, start, zoom } = props;
  const pick = (which: "a" | "b", value: string) => (
    <select
      aria-label={which === "a" ? "First sound" : "Second sound"}
      value={value}
      onChange={(event) => props.choose(which, event.currentTarget.value)}
    >
      {props.sounds.map((sound) => (
        <option key={sound.name} value={sound.name}>
          {soundName(sound.name)}
        </option>
      ))}
    </select>
  );
  const version = (name: string): string => props.sounds.find((sound) => sound.name === name)?.sha256 ?? "";
  const lane = (sound: string, minus?: string) => (
    <Lane
      base={props.base}
      query={props.query}
      sound={sound}
      minus={minus}
      version={version(sound) + (minus ? version(minus) : "")}
      start={start}
      zoom={zoom}
      lines={minus ? [] : (props.lines.get(sound) ?? [])}
      seek={props.seek}
    />
  );
  return (
    <section class="card waves" aria-label="Waveforms and spectrograms">
      <div class="heading">
        <h2>Compare</h2>
        <div class="tools">
          <label class="inline">
            Window
            <select value={String(zoom)} onChange={(event) => props.setZoom(Number(event.currentTarget.value))}>
              {[3, 5, 10, 20, 40].map((one) => (
                <option key={one} value={String(one)}>
                  {one} s
                </option>
              ))}
            </select>
          </label>
        </div>
      </div>
      <div class="lanes">
        <div class="lane-names">
          <div>{pick("a", a)}</div>
          <div>{pick("b", b)}</div>
          <div class="quiet">
            {soundName(a)} − {soundName(b)}
          </div>
        </div>
        <div class="lane-stack">
          {lane(a)}
          {lane(b)}
          {lane(a, b)}
          <div class="lane-head" ref={props.head} aria-hidden="true" />
        </div>
      </div>
    </section>
  );
}

function Lane(props: {
  base: string;
  query: string;
  sound: string;
  minus: string | undefined;
  version: string;
  start: number;
  zoom: number;
  lines: Line[];
  seek: (at: number) => void;
}) {
  const wave = useRef<HTMLCanvasElement>(null);
  const spectrum = useRef<HTMLCanvasElement>(null);
  const [silent, setSilent] = useState(false);
  const { base, query, sound, minus, start, zoom } = props;
  useEffect(() => {
    const abort = new AbortController();
    const more = `${query}&start=${start}&seconds=${zoom}${minus ? `&minus=${minus}` : ""}`;
    get<Peaks>(`${base}/sounds/${sound}/peaks?${more}&points=${POINTS}`, abort.signal).then(
      (peaks) => {
        if (wave.current) drawWave(wave.current, peaks, zoom);
        setSilent(minus !== undefined && peaks.high.every((one) => one === 0) && peaks.low.every((one) => one === 0));
      },
      () => undefined,
    );
    ask(`${base}/sounds/${sound}/spectrogram?${more}&width=${POINTS}&height=${HEIGHT}`, { signal: abort.signal })
      .then((response) => response.arrayBuffer())
      .then(
        (bytes) => spectrum.current && drawSpectrum(spectrum.current, new Uint8Array(bytes)),
        () => undefined,
      );
    return () => abort.abort();
  }, [base, query, sound, minus, props.version, start, zoom]);
  const seek = (event: MouseEvent): void => {
    const box = (event.currentTarget as HTMLElement).getBoundingClientRect();
    props.seek(start + ((event.clientX - box.left) / box.width) * zoom);
  };
  const name = minus ? `Difference of ${soundName(sound)} and ${soundName(minus)}` : soundName(sound);
  return (
    // biome-ignore lint/a11y/noStaticElementInteractions: a second way to seek; the player has a slider for it.
    // biome-ignore lint/a11y/useKeyWithClickEvents: arrow keys seek wherever the focus is (keyboard.ts).
    <div class="lane" onClick={seek}>
      <canvas ref={wave} class="lane-wave" width={POINTS} height={64} role="img" aria-label={`Waveform: ${name}`} />
      <canvas
        ref={spectrum}
        class="lane-spectrum"
        width={POINTS}
        height={HEIGHT}
        role="img"
        aria-label={`Spectrogram: ${name}`}
      />
      {silent && <span class="lane-said">the same to the last bit shown</span>}
      {props.lines
        .filter((line) => line.end > start && line.start < start + zoom && line.end > line.start)
        .map((line) => (
          <span
            key={line.id}
            class="lane-line"
            title={`${line.id}: ${line.text}`}
            style={{
              left: `${(100 * Math.max(0, line.start - start)) / zoom}%`,
              width: `${(100 * (Math.min(line.end, start + zoom) - Math.max(line.start, start))) / zoom}%`,
            }}
          >
            {line.text}
          </span>
        ))}
    </div>
  );
}

function drawWave(canvas: HTMLCanvasElement, peaks: Peaks, zoom: number): void {
  const pen = canvas.getContext("2d")!;
  const { width, height } = canvas;
  pen.clearRect(0, 0, width, height);
  pen.fillStyle = getComputedStyle(canvas).color;
  const scale = height / 2 / 127;
  const step = (width * (peaks.seconds / zoom)) / peaks.low.length;
  peaks.low.forEach((low, at) => {
    const top = height / 2 - peaks.high[at]! * scale;
    pen.fillRect(at * step, top, Math.max(1, step), Math.max(1, height / 2 - low * scale - top));
  });
}

function drawSpectrum(canvas: HTMLCanvasElement, levels: Uint8Array): void {
  const pen = canvas.getContext("2d")!;
  const picture = pen.createImageData(POINTS, HEIGHT);
  for (let at = 0; at < levels.length; at++)
    picture.data.set(PALETTE.subarray(levels[at]! * 4, levels[at]! * 4 + 4), at * 4);
  pen.putImageData(picture, 0, 0);
}
