// Curves of a training, drawn by uPlot.

import { useEffect, useRef } from "preact/hooks";
import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";

export type Point = { step: number } & Record<string, unknown>;

const COLOURS = ["#0f766e", "#b45309", "#6d28d9", "#be123c", "#1d4ed8", "#4d7c0f", "#a21caf"];
const GROUPS: [string, (name: string) => boolean][] = [
  ["Loss", (name) => name === "loss" || name.startsWith("loss/")],
  ["Retrieval, R@1", (name) => name.startsWith("r1/") || name === "chance"],
  ["Learning rate", (name) => name === "rate"],
  ["Gradient norm", (name) => name === "gradient_norm"],
  ["Clips a second", (name) => name === "clips_per_s"],
  ["Waiting for data", (name) => name === "data_wait"],
];

export function Curves({ points }: { points: Point[] }) {
  const names = [
    ...new Set(points.flatMap((point) => Object.keys(point).filter((name) => typeof point[name] === "number"))),
  ];
  const groups = GROUPS.map(([title, belongs]) => [title, names.filter(belongs)] as const).filter(
    ([, some]) => some.length,
  );
  if (!groups.length) return <p class="empty">Curves appear with the first steps.</p>;
  return (
    <div class="plots">
      {groups.map(([title, some]) => (
        <Curve key={title} title={title} names={some} points={points} />
      ))}
    </div>
  );
}

function Curve({ title, names, points }: { title: string; names: string[]; points: Point[] }) {
  const box = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | null>(null);
  const data = table(names, points);
  useEffect(() => {
    const at = box.current!;
    const style = getComputedStyle(at);
    const [ink, line] = [style.getPropertyValue("--quiet"), style.getPropertyValue("--line")];
    const axis = { stroke: ink, grid: { stroke: line, width: 1 }, ticks: { stroke: line, width: 1 } };
    const made = new uPlot(
      {
        width: at.clientWidth,
        height: 180,
        scales: { x: { time: false } },
        axes: [axis, { ...axis, size: 56 }],
        series: [
          { label: "step" },
          ...names.map((name, at) => ({
            label: name.replace(/^(loss|r1)\//, ""),
            ...(name === "chance" ? { stroke: ink, dash: [4, 4] } : { stroke: COLOURS[at % COLOURS.length]! }),
            width: 1.5,
            spanGaps: true,
            points: { show: data[0]!.length < 3 },
          })),
        ],
      },
      data,
      at,
    );
    plot.current = made;
    const resized = new ResizeObserver(() => made.setSize({ width: at.clientWidth, height: 180 }));
    resized.observe(at);
    return () => {
      resized.disconnect();
      made.destroy();
    };
  }, [names.join()]);
  useEffect(() => plot.current?.setData(data), [points]);
  const [first, last] = [points[0], points[points.length - 1]];
  return (
    <figure class="card plot">
      <figcaption>{title}</figcaption>
      <div
        ref={box}
        role="img"
        data-points={data[0]!.length}
        aria-label={`${title}, steps ${first?.step ?? 0} to ${last?.step ?? 0}`}
      />
    </figure>
  );
}

function table(names: string[], points: Point[]): uPlot.AlignedData {
  const steps = [...new Set(points.map((point) => point.step))].sort((one, other) => one - other);
  const row = new Map(steps.map((step, at) => [step, at]));
  const columns = names.map(() => new Array<number | null>(steps.length).fill(null));
  for (const point of points)
    names.forEach((name, at) => {
      const value = point[name];
      if (typeof value === "number" && Number.isFinite(value)) columns[at]![row.get(point.step)!] = value;
    });
  return [steps, ...columns];
}
