// The player of a title: what is heard, where it is, and earlier versions of lines beside it.

import type { RefObject } from "preact";
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { ask } from "../../client/requests";
import type { Sound } from "../../client/resources";
import { Player } from "../../player/player";
import { here, note } from "../../route";

/** What the lines can have played. */
export interface Hearing {
  /** A part of the track whose lines are shown. */
  range: (start: number, end: number) => void;
  /** How a line was before. */
  old: (address: string) => void;
}

export interface Playback {
  /** Null until the title's duration is known. */
  player: Player | null;
  /** Seconds on the title's clock, told four times a second. */
  now: number;
  /** The play head of the comparison, which is moved with every frame. */
  head: RefObject<HTMLElement | null>;
  seek: (seconds: number) => void;
  /** Hear a sound that is no track: how a line was before. */
  playAside: (address: string) => void;
}

export function usePlayback(options: {
  jobId: string;
  query: string;
  duration: number;
  sound: Sound | undefined;
  setHeard: (name: string) => void;
  /** Seconds of the comparison's window, over which the play head runs. */
  zoom: number;
  setError: (error: unknown) => void;
}): Playback {
  const { jobId, query, duration, sound, setHeard, zoom, setError } = options;
  const [, render] = useState(0);
  const [now, setNow] = useState(() => Number(here().query.get("t")) || 0);
  const head = useRef<HTMLElement | null>(null);
  const aside = useRef<HTMLAudioElement | null>(null);

  const player = useMemo(() => {
    if (!duration) return null;
    const piece = async (name: string, start: number, seconds: number): Promise<ArrayBuffer> =>
      (await ask(`/v1/jobs/${jobId}/sounds/${name}/piece?${query}&start=${start}&seconds=${seconds}`)).arrayBuffer();
    return new Player(piece, duration, () => render((count) => count + 1), setError);
  }, [jobId, query, duration]);
  useEffect(() => {
    if (!player) return;
    player.seek(Number(here().query.get("t")) || 0);
    return () => player.close();
  }, [player]);
  useEffect(() => {
    if (!player || !sound) return;
    // The page says what is heard: where a sound cannot be had, that is the one from before.
    void player.listen({ name: sound.name, sha256: sound.sha256 }).then((available) => {
      if (!available && player.sound) setHeard(player.sound);
    });
  }, [player, sound?.name, sound?.sha256]);

  // The play head moves with every frame, the rest of the page four times a second, the address now and then.
  useEffect(() => {
    if (!player) return;
    let frame = 0;
    let shown = -1;
    let noted = 0;
    const move = (): void => {
      const at = player.heard();
      if (head.current) {
        const width = head.current.parentElement?.clientWidth ?? 0;
        head.current.style.transform = `translateX(${((at % zoom) / zoom) * width}px)`;
      }
      if (Math.abs(at - shown) > 0.24) {
        shown = at;
        setNow(at);
      }
      if (performance.now() - noted > 2000 || (!player.playing && noted)) {
        noted = player.playing ? performance.now() : 0;
        note({ t: at > 0.01 ? at.toFixed(2) : undefined });
      }
      frame = requestAnimationFrame(move);
    };
    frame = requestAnimationFrame(move);
    return () => cancelAnimationFrame(frame);
  }, [player, zoom]);

  const seek = (seconds: number): void => {
    player?.seek(seconds);
    setNow(seconds);
    note({ t: seconds.toFixed(2) });
  };
  const playAside = (address: string): void => {
    player?.pause();
    aside.current?.pause();
    aside.current = new Audio(address);
    void aside.current.play().catch(setError);
  };
  return { player, now, head, seek, playAside };
}
