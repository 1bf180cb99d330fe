"""Curves as inline SVG: pure functions from numbers to text."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape
from typing import NamedTuple

WIDTH, HEIGHT = 520, 220
LEFT, RIGHT, TOP, BOTTOM = 52, 10, 10, 26
COLOURS = ("#2563eb", "#dc2626", "#059669", "#d97706", "#7c3aed", "#0891b2", "#be185d", "#4d7c0f")
MOST = 600
"""Points drawn of a curve; more would not be seen."""


class Curve(NamedTuple):
    name: str
    points: list[tuple[float, float]]
    """Step and value."""
    dashed: bool = False


def chart(title: str, curves: Sequence[Curve], steps: int, *, share: bool = False) -> str:
    """An SVG figure with its legend; the horizontal axis is steps from 0 to ``steps``.

    Args:
        title: What is drawn, with its unit.
        curves: At least one point in all.
        steps: Where the horizontal axis ends.
        share: Values are shares: the axis begins at 0 and ends at 1 at most, and is labelled in per cent.
    """
    values = [value for curve in curves for _, value in curve.points]
    low, high = (0.0, min(1.0, max([*values, 0.05]) * 1.1)) if share else bounds(values)
    across = (WIDTH - LEFT - RIGHT) / max(1, steps)
    up = (HEIGHT - TOP - BOTTOM) / (high - low)

    def x(step: float) -> float:
        return LEFT + step * across

    def y(value: float) -> float:
        return HEIGHT - BOTTOM - (value - low) * up

    parts = [f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(title)}">']
    for tick in ticks(low, high):
        label = f"{tick:.0%}" if share else f"{tick:g}"
        parts.append(
            f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y(tick):.1f}" y2="{y(tick):.1f}"/>'
            f'<text class="tick" x="{LEFT - 6}" y="{y(tick) + 4:.1f}" text-anchor="end">{label}</text>'
        )
    parts += [
        f'<text class="tick" x="{x(tick):.1f}" y="{HEIGHT - 8}" text-anchor="middle">{tick:g}</text>'
        for tick in ticks(0, steps)
        if tick == int(tick)
    ]
    for number, curve in enumerate(curves):
        points = thinned(curve.points)
        path = " ".join(f"{x(step):.1f},{y(min(high, max(low, value))):.1f}" for step, value in points)
        dash = ' stroke-dasharray="4 4"' if curve.dashed else ""
        parts.append(f'<polyline fill="none" stroke="{colour(number)}" stroke-width="1.6"{dash} points="{path}"/>')
        if len(points) == 1:
            step, value = points[0]
            parts.append(f'<circle r="3" fill="{colour(number)}" cx="{x(step):.1f}" cy="{y(value):.1f}"/>')
    parts.append("</svg>")
    legend = "".join(
        f'<li><i style="background:{colour(number)}"></i>{escape(curve.name)} <b>{last(curve, share)}</b></li>'
        for number, curve in enumerate(curves)
        if curve.points
    )
    return f'<figure><figcaption>{escape(title)}</figcaption>{"".join(parts)}<ul class="legend">{legend}</ul></figure>'


def colour(number: int) -> str:
    return COLOURS[number % len(COLOURS)]


def last(curve: Curve, share: bool) -> str:
    value = curve.points[-1][1]
    return f"{value:.1%}" if share else f"{value:.4g}"


def bounds(values: Sequence[float]) -> tuple[float, float]:
    """Lowest and highest value with a little room; never the same."""
    low, high = min(values), max(values)
    room = (high - low) * 0.05 or abs(high) * 0.1 or 1.0
    return (0.0 if 0 <= low < 0.4 * high else low - room), high + room


def ticks(low: float, high: float, about: int = 4) -> list[float]:
    """Round numbers between two bounds."""
    if high <= low:
        return [low]
    raw = (high - low) / about
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(power * factor for factor in (1, 2, 2.5, 5, 10) if power * factor >= raw)
    first = math.ceil(low / step - 1e-9)
    values = []
    while first * step <= high * (1 + 1e-9):
        values.append(round(first * step, 12))
        first += 1
    return values


def thinned(points: Sequence[tuple[float, float]], most: int = MOST) -> list[tuple[float, float]]:
    """At most about ``most`` points: the mean of each run of neighbours; the last as it is."""
    if len(points) <= most:
        return list(points)
    wide = math.ceil(len(points) / most)
    runs = [points[first : first + wide] for first in range(0, len(points), wide)]
    return [(run[-1][0], sum(value for _, value in run) / len(run)) for run in runs[:-1]] + [points[-1]]
