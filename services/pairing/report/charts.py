"""Charts as inline SVG: pure functions from numbers to markup. Colours are classes, for dark and light alike."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from markupsafe import Markup

from services.pairing.report.schema import Limit, MeasureSummary, ShotLengths
from shared.schemas.layout import CONTROL, ORIG

LANGUAGE_COLOURS = 6
BAR_GAP = 1.0

Box = tuple[float, float, float, float]
"""Left, top, width, height."""


class Palette:
    """Track → colour class: grey for the original, one for the control, then languages in order."""

    def __init__(self, tracks: Iterable[str]) -> None:
        self.tracks = sorted(tracks, key=lambda track: {ORIG: 0, CONTROL: 1}.get(track, 2))
        languages = [track for track in self.tracks if track not in {ORIG, CONTROL}]
        self._colours = {ORIG: 0, CONTROL: 1} | {t: 2 + n % LANGUAGE_COLOURS for n, t in enumerate(languages)}

    def __call__(self, track: str | None) -> str:
        return f"k{self._colours.get(track or '', 0)}"


def tag(name: str, content: str | Markup = "", **attributes: object) -> Markup:
    """One element. Attribute names: ``class_`` → ``class``, ``_`` → ``-``; floats are rounded."""
    parts = [Markup("<{}").format(name)]
    for key, value in attributes.items():
        text = f"{value:.2f}".rstrip("0").rstrip(".") if isinstance(value, float) else value
        parts.append(Markup(' {}="{}"').format(key.rstrip("_").replace("_", "-"), text))
    return Markup("").join([*parts, Markup(">"), content, Markup("</{}>").format(name)])


def picture(width: float, height: float, label: str, parts: Iterable[Markup], class_: str = "chart") -> Markup:
    """An ``svg`` that fills its place; ``label`` is what a screen reader says."""
    inside = Markup("").join(parts)
    return tag("svg", inside, class_=class_, viewBox=f"0 0 {width:g} {height:g}", role="img", aria_label=label)


def nice_number(value: float) -> str:
    """``12``, ``0.5``, ``1,200``, ``−60``."""
    text = f"{value:,.0f}" if abs(value) >= 100 else f"{value:.4g}"
    return text.replace("-", "−")


def brief(value: float) -> str:
    """Two decimals at most, for tables of medians."""
    return nice_number(round(value, 2) if abs(value) < 10 else round(value, 1))


def stacked(
    counts: Mapping[str, Sequence[int]],
    edges: Sequence[float],
    box: Box,
    palette: Palette,
) -> list[Markup]:
    """Bars of a histogram, tracks on top of one another."""
    left, top, width, height = box
    bins = len(edges) - 1
    sums = [sum(track[i] for track in counts.values()) for i in range(bins)]
    peak = max([1, *sums])
    low, span = edges[0], edges[-1] - edges[0]
    parts = []
    for i in range(bins):
        x = left + (edges[i] - low) / span * width
        wide = (edges[i + 1] - edges[i]) / span * width
        bottom = top + height
        for track in palette.tracks:
            number = counts[track][i] if track in counts else 0
            if number:
                tall = number / peak * height
                bottom -= tall
                title = tag("title", f"{track}: {number} in {nice_number(edges[i])} – {nice_number(edges[i + 1])}")
                parts.append(
                    tag(
                        "rect",
                        title,
                        class_=palette(track),
                        x=x + BAR_GAP / 2,
                        y=bottom,
                        width=max(0.5, wide - BAR_GAP),
                        height=tall,
                    )
                )
    parts.append(tag("text", nice_number(peak), class_="tick", x=left - 4, y=top + 8, text_anchor="end"))
    parts.append(tag("line", class_="axis", x1=left, x2=left + width, y1=top + height, y2=top + height))
    return parts


def ticks(values: Sequence[float], edges: Sequence[float], left: float, width: float, y: float) -> list[Markup]:
    """Numbers below an axis."""
    low, span = edges[0], edges[-1] - edges[0]
    return [
        tag("text", nice_number(v), class_="tick", x=left + (v - low) / span * width, y=y, text_anchor="middle")
        for v in values
    ]


def limit_lines(limits: Sequence[Limit], edges: Sequence[float], box: Box) -> list[Markup]:
    """Thresholds as lines, their wrong side shaded; guides only as lines."""
    left, top, width, height = box
    low, span = edges[0], edges[-1] - edges[0]
    parts = []
    for limit in limits:
        share = min(max((limit.value - low) / span, 0.0), 1.0)
        x = left + share * width
        if limit.rejects:
            start, wide = (x, left + width - x) if limit.beyond == "above" else (left, x - left)
            parts.append(tag("rect", class_="beyond", x=start, y=top, width=wide, height=height))
        kind = "limit" if limit.rejects else "guide"
        title = tag("title", f"{limit.setting} = {nice_number(limit.value)}")
        parts.append(tag("line", title, class_=kind, x1=x, x2=x, y1=top - 4, y2=top + height))
        anchor = "end" if share > 0.85 else "start" if share < 0.15 else "middle"
        parts.append(tag("text", nice_number(limit.value), class_=f"mark {kind}", x=x, y=top - 7, text_anchor=anchor))
    return parts


def measure_chart(measure: MeasureSummary, palette: Palette) -> Markup:
    """Histogram of one measure over all tracks with its thresholds."""
    box = (30.0, 20.0, 322.0, 104.0)
    edges = measure.edges
    middle = (edges[0] + edges[-1]) / 2
    limits = ", ".join(f"{nice_number(limit.value)}" for limit in measure.limits) or "none"
    parts = [
        *limit_lines(measure.limits, edges, box),
        *stacked(measure.counts, edges, box, palette),
        *ticks([edges[0], middle, edges[-1]], edges, box[0], box[2], 138),
        tag("text", measure.unit, class_="tick unit", x=box[0] + box[2], y=151, text_anchor="end"),
    ]
    return picture(360, 156, f"Histogram of {measure.label}; limits: {limits}", parts)


def shot_chart(lengths: ShotLengths) -> Markup:
    """Histogram of shot lengths with the kept range marked (paper supplement, Fig. A.1)."""
    box = (36.0, 22.0, 712.0, 150.0)
    edges = lengths.edges
    left, top, width, height = box
    scale = width / (edges[-1] - edges[0])
    first, last = left + lengths.kept_from * scale, left + lengths.kept_to * scale
    kept = f"{lengths.kept} of {lengths.total} kept: {nice_number(lengths.kept_from)}–{nice_number(lengths.kept_to)} s"
    longest = edges[-2]
    numbers = [float(second) for second in range(0, int(longest) + 1, 1 if longest <= 16 else 2)]
    parts = [
        tag("rect", class_="kept", x=first, y=top, width=last - first, height=height),
        tag("text", kept, class_="mark", x=(first + last) / 2, y=top - 7, text_anchor="middle"),
        *stacked({ORIG: lengths.counts}, edges, box, Palette([ORIG])),
        *ticks(numbers, edges, left, width, top + height + 15),
        tag(
            "text",
            f"{nice_number(longest)}+",
            class_="tick",
            x=left + width - scale / 2,
            y=top + height + 28,
            text_anchor="middle",
        ),
        tag("text", "seconds", class_="tick unit", x=left, y=top + height + 28),
    ]
    return picture(760, 206, f"Histogram of shot lengths; {kept}", parts, "chart wide")


def bar(parts: Sequence[tuple[str, float, str]], whole: float) -> Markup:
    """A horizontal bar of (class, amount, title), as wide as its share of ``whole``."""
    at = 0.0
    rects = []
    for class_, amount, title in parts:
        wide = 100 * amount / whole if whole > 0 else 0.0
        rects.append(tag("rect", tag("title", title), class_=class_, x=at, y=0, width=wide, height=10))
        at += wide
    return tag(
        "svg",
        Markup("").join(rects),
        class_="bar",
        viewBox="0 0 100 10",
        preserveAspectRatio="none",
        aria_hidden="true",
    )


def auc_dot(auc: float | None, class_: str, goal: float) -> Markup:
    """An AUC on a scale of 0.4–1 with the perfect 0.5 and the goal marked."""
    low, high, width = 0.4, 1.0, 160.0

    def x(value: float) -> float:
        return 4 + (min(max(value, low), high) - low) / (high - low) * (width - 8)

    parts = [
        tag("rect", class_="track", x=4, y=9, width=width - 8, height=2),
        tag("rect", class_="kept", x=x(0.5) - 1, y=5, width=x(goal) - x(0.5) + 1, height=10),
        tag("line", class_="perfect", x1=x(0.5), x2=x(0.5), y1=3, y2=17),
    ]
    if auc is not None:
        parts.append(tag("circle", class_=class_, cx=x(auc), cy=10, r=4.5))
    label = f"AUC {auc:.2f}" if auc is not None else "no AUC"
    return picture(width, 20, f"{label}; 0.5 is perfect", parts, "dot")


def waveform(peaks: Sequence[int], loudest: int, class_: str) -> Markup:
    """A small symmetrical waveform; a peak of ``loudest`` fills its height."""
    scale = 10 / max(loudest, 1)
    upper = " ".join(f"{i},{10 - p * scale:.1f}" for i, p in enumerate(peaks))
    lower = " ".join(f"{len(peaks) - 1 - i},{10 + p * scale:.1f}" for i, p in enumerate(reversed(peaks)))
    shape = tag("polygon", class_=class_, points=f"{upper} {lower}")
    box = f"0 0 {max(1, len(peaks) - 1)} 20"
    return tag("svg", shape, class_="wave", viewBox=box, preserveAspectRatio="none", aria_hidden="true")


def spans(marks: Sequence[tuple[float, float, str, str]], seconds: float, class_: str) -> Markup:
    """Utterances over a spectrogram: (start, end, id, title) in seconds of the shot."""
    parts = []
    for start, end, label, title in marks:
        begin, stop = max(0.0, start), min(seconds, end)
        if stop > begin:
            left, wide = f"{100 * begin / seconds:.2f}%", f"{100 * (stop - begin) / seconds:.2f}%"
            name = tag("title", title)
            parts.append(tag("rect", name, class_=f"span {class_}", x=left, y=0, width=wide, height=4))
            parts.append(tag("line", class_="edge", x1=left, x2=left, y1=0, y2="100%"))
            parts.append(tag("text", label, class_="spanid", x=left, dx=4, y=15))
    return tag("svg", Markup("").join(parts), class_="spans", aria_hidden="true")


def slot(slot_start: float, slot_end: float, start: float, end: float, class_: str) -> Markup:
    """A line's slot, and its speech in it."""
    low, high = min(slot_start, start), max(slot_end, end)
    span = max(high - low, 1e-6)

    def share(value: float) -> float:
        return 100 * (value - low) / span

    over = tag("rect", class_="over", x=share(slot_end), y=2, width=max(0.0, share(end) - share(slot_end)), height=6)
    inner = share(min(end, slot_end)) - share(start)
    parts = [
        tag("rect", class_="track", x=share(slot_start), y=4, width=share(slot_end) - share(slot_start), height=2),
        tag("rect", class_=class_, x=share(start), y=2, width=max(0.0, inner), height=6),
        over,
    ]
    title = f"slot {slot_end - slot_start:.2f} s, speech {end - start:.2f} s"
    inside = tag("title", title) + Markup("").join(parts)
    return tag(
        "svg", inside, class_="slot", viewBox="0 0 100 10", preserveAspectRatio="none", role="img", aria_label=title
    )


def seconds_axis(start: float, seconds: float) -> Markup:
    """Whole seconds of the title's clock below a shot's spectrograms."""
    parts = []
    first = int(-(-start // 1))
    for second in range(first, int(start + seconds) + 1):
        x = f"{100 * (second - start) / seconds:.2f}%"
        parts.append(tag("line", class_="axis", x1=x, x2=x, y1=0, y2=4))
        parts.append(tag("text", clock(second), class_="tick", x=x, y=15, text_anchor="middle"))
    return tag("svg", Markup("").join(parts), class_="seconds", aria_hidden="true")


def clock(seconds: float) -> str:
    """``1:02`` or ``1:02:03``."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
