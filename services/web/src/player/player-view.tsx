// The picture, what is heard with it, and what is said.

import { useEffect, useRef, useState } from "preact/hooks";
import type { Line, Sound } from "../client/resources";
import { Curl } from "../components/curl-button";
import { clock, languageName, soundName } from "../components/format";
import type { Player } from "./player";

const ICONS = {
  play: "M3 1.5v11l9-5.5z",
  pause: "M3 2h3v10H3zM8 2h3v10H8z",
  full: "M1 1h5v2H3v3H1zM8 1h5v5h-2V3H8zM1 8h2v3h3v2H1zM11 8h2v5H8v-2h3z",
};

function Icon({ name }: { name: keyof typeof ICONS }) {
  return (
    <svg width="14" height="14" viewBox="0 0 14 14" aria-hidden="true">
      <path d={ICONS[name]} />
    </svg>
  );
}

export function PlayerView(props: {
  job: string;
  title: string;
  player: Player;
  sounds: Sound[];
  heard: string;
  hear: (name: string) => void;
  now: number;
  duration: number;
  seek: (at: number) => void;
  lines: Line[];
}) {
  const { player, sounds, heard, now } = props;
  const box = useRef<HTMLElement & { player?: Player }>(null);
  const video = useRef<HTMLVideoElement>(null);
  const [blind, setBlind] = useState(false);
  const [texts, setTexts] = useState(true);
  const folder = `/v1/jobs/${props.job}/files/${encodeURIComponent(props.title)}`;
  const name = encodeURIComponent(props.title);
  useEffect(() => {
    player.watch(video.current);
    // For tests and for the curious: the element knows its player.
    if (box.current) box.current.player = player;
    return () => player.watch(null);
  }, [player]);
  const said = texts
    ? props.lines.filter((line) => line.start <= now && now < line.end && line.status !== "dropped")
    : [];
  const tracks = sounds.filter((sound) => sound.kind === "track");
  const stems = sounds.filter((sound) => sound.kind !== "track");
  const current = sounds.find((sound) => sound.name === heard);
  const button = (sound: Sound) => (
    <button
      key={sound.name}
      type="button"
      aria-pressed={sound.name === heard}
      data-sound={sound.name}
      onClick={() => props.hear(sound.name)}
      title={`Key ${sounds.indexOf(sound) + 1}`}
    >
      {soundName(sound.name)}
    </button>
  );
  return (
    <figure class="card stage" ref={box} aria-label="Player">
      <div class="picture">
        <video
          ref={video}
          muted
          playsInline
          preload="metadata"
          src={`${folder}/${name}.mp4`}
          tabIndex={-1}
          onError={() => setBlind(true)}
          onClick={() => (player.playing ? player.pause() : player.play())}
        />
        {blind && <p class="picture-said">This browser cannot show the picture of this title. The sound plays.</p>}
        <div class="said" aria-hidden="true">
          {said.map((line) => (
            <p key={line.id} lang={line.language}>
              {line.text}
            </p>
          ))}
        </div>
      </div>
      <div class="transport">
        <button
          type="button"
          class="play"
          aria-label={player.playing ? "Pause" : "Play"}
          onClick={() => (player.playing ? player.pause() : player.play())}
        >
          <Icon name={player.playing ? "pause" : "play"} />
        </button>
        <input
          type="range"
          min={0}
          max={props.duration}
          step={0.01}
          value={now}
          aria-label="Position"
          aria-valuetext={clock(now)}
          onInput={(event) => props.seek(Number(event.currentTarget.value))}
        />
        <span class="time">
          {clock(now)} / {clock(props.duration)}
        </span>
        <label class="inline">
          <input type="checkbox" checked={texts} onChange={() => setTexts(!texts)} /> Subtitles
        </label>
        <button
          type="button"
          class="icon"
          aria-label="Full screen"
          onClick={() => void box.current?.querySelector(".picture")?.requestFullscreen()}
        >
          <Icon name="full" />
        </button>
      </div>
      <div class="sounds">
        <div class="tabs" role="group" aria-label="Track">
          {tracks.map(button)}
        </div>
        <div class="tabs tabs-small" role="group" aria-label="Stem">
          {stems.map(button)}
        </div>
      </div>
      <details class="takeaway">
        <summary>Take away</summary>
        <ul class="exports">
          {[
            [`${folder}/${name}.mkv`, "MKV, every track"],
            [`${folder}/${name}.mp4`, "MP4, every track"],
            ...(current ? [[current.href, `${soundName(heard)} (FLAC)`]] : []),
          ].map(([path, label]) => (
            <li key={path}>
              <a class="button" href={path} download>
                {label}
              </a>
              <Curl path={path!} label={label!} />
            </li>
          ))}
          {tracks
            .filter((sound) => !["orig", "control"].includes(sound.name))
            .map((sound) => (
              <li key={sound.name}>
                <a class="button" href={`${folder}/subtitles/${sound.name}.srt`} download>
                  Subtitles: {languageName(sound.name)}
                </a>
                <Curl
                  path={`${folder}/subtitles/${sound.name}.srt`}
                  label={`subtitles in ${languageName(sound.name)}`}
                />
              </li>
            ))}
        </ul>
      </details>
    </figure>
  );
}
