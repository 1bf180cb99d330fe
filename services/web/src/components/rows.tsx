// A long list of which only the visible part exists.

import type { JSX } from "preact";
import { useEffect, useRef } from "preact/hooks";
import { useVisibleRange } from "./visible-range";

/** Rows of one height, of which only those that can be seen are there. */
export function Rows<T>(props: {
  items: T[];
  height: number;
  label: string;
  shown?: number | undefined;
  head?: JSX.Element;
  children: (item: T, index: number) => JSX.Element;
}) {
  const box = useRef<HTMLDivElement>(null);
  const { items, height } = props;
  const [first, last] = useVisibleRange(box, height, 6, "height");
  useEffect(() => {
    const at = box.current;
    if (!at || props.shown === undefined || props.shown < 0) return;
    const top = props.shown * height;
    if (top < at.scrollTop || top + height > at.scrollTop + at.clientHeight) at.scrollTop = top - at.clientHeight / 3;
  }, [props.shown, height]);
  return (
    <div class="rows" ref={box} role="rowgroup" aria-label={props.label} tabIndex={0}>
      {props.head}
      <div class="rows-all" role="presentation" style={{ height: `${items.length * height}px` }}>
        {items.slice(first, last).map((item, offset) => props.children(item, first + offset))}
      </div>
    </div>
  );
}
