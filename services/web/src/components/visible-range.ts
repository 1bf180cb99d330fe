// Which of many items of one size can be seen, as a box is scrolled and resized.

import type { RefObject } from "preact";
import { useEffect, useState } from "preact/hooks";

/** First item that is to exist and the one behind the last, `margin` beyond what is seen on both sides. */
export function useVisibleRange(
  box: RefObject<HTMLElement | null>,
  size: number,
  margin: number,
  along: "height" | "width",
): [number, number] {
  const [range, setRange] = useState<[number, number]>([0, 30]);
  useEffect(() => {
    const at = box.current;
    if (!at) return;
    const look = (): void => {
      const [scrolled, seen] = along === "height" ? [at.scrollTop, at.clientHeight] : [at.scrollLeft, at.clientWidth];
      const first = Math.max(0, Math.floor(scrolled / size) - margin);
      setRange([first, first + Math.ceil(seen / size) + 2 * margin]);
    };
    look();
    at.addEventListener("scroll", look, { passive: true });
    const resized = new ResizeObserver(look);
    resized.observe(at);
    return () => {
      at.removeEventListener("scroll", look);
      resized.disconnect();
    };
  }, [box, size, margin, along]);
  return range;
}
