// Keys of the title view; docs/page.md lists them.

import { useLayoutEffect } from "preact/hooks";
import type { Line, Sound } from "../../client/resources";
import type { Player } from "../../player/player";
import type { Hearing } from "./playback";

interface Controls {
  player: Player | null;
  sounds: Sound[];
  heard: string;
  setHeard: (name: string) => void;
  table: Line[];
  chosen: string;
  choose: (id: string) => void;
  seek: (at: number) => void;
  hear: Hearing;
}

export function useKeyboard(controls: Controls): void {
  // As the page is drawn, not after it: a key pressed at once must find what is shown.
  useLayoutEffect(() => {
    const pressed = (event: KeyboardEvent): void => {
      const target = event.target as HTMLElement;
      if (event.ctrlKey || event.metaKey || event.altKey || target.closest("input, textarea, select, dialog")) return;
      const { player, sounds, table } = controls;
      if (!player) return;
      const step = (by: number): void => {
        const at = table.findIndex((line) => line.id === controls.chosen);
        const next = table[Math.min(table.length - 1, Math.max(0, at + by))];
        if (next) controls.choose(next.id);
      };
      const turn = (by: number): void => {
        const at = sounds.findIndex((sound) => sound.name === controls.heard);
        controls.setHeard(sounds[(at + by + sounds.length) % sounds.length]!.name);
      };
      const keys: Record<string, () => void> = {
        k: () => (player.playing ? player.pause() : player.play()),
        " ": () => (player.playing ? player.pause() : player.play()),
        ArrowLeft: () => controls.seek(player.position() - (event.shiftKey ? 5 : 1)),
        ArrowRight: () => controls.seek(player.position() + (event.shiftKey ? 5 : 1)),
        "[": () => turn(-1),
        "]": () => turn(1),
        n: () => step(1),
        p: () => step(-1),
        e: () => document.getElementById("line-text")?.focus(),
        h: () => {
          const line = table.find((one) => one.id === controls.chosen);
          if (line) controls.hear.range(Math.max(0, line.start - 0.25), line.end + 0.25);
        },
      };
      const number = Number(event.key);
      if (number >= 1 && sounds[number - 1]) keys[event.key] = () => controls.setHeard(sounds[number - 1]!.name);
      // A focused button keeps its own space and arrows.
      if (event.key === " " && target.closest("button, a, summary")) return;
      if (event.key.startsWith("Arrow") && target.closest("[role=group], [role=rowgroup]")) return;
      const act = keys[event.key];
      if (act) {
        event.preventDefault();
        act();
      }
    };
    addEventListener("keydown", pressed);
    return () => removeEventListener("keydown", pressed);
  });
}
