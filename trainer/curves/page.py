"""``curves.html``: what a training did, in one file that needs no other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from trainer.curves.svg import Curve, chart
from trainer.recipe import Recipe, to_toml

Lines = Sequence[dict[str, Any]]


def draw_page(recipe: Recipe, lines: Lines, steps: int) -> str:
    """The lines of ``metrics.jsonl`` as a page of HTML."""
    from importlib import resources

    from jinja2 import Environment
    from markupsafe import Markup

    source = (resources.files("trainer") / "curves" / "page.html").read_text(encoding="utf-8")
    template = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True).from_string(source)
    logged = [line for line in lines if "loss" in line]
    measured = [line for line in lines if "held_out" in line]
    return template.render(
        recipe=recipe,
        steps=steps,
        step=max((line["step"] for line in lines), default=0),
        figures=[Markup(figure) for figure in figures(logged, measured, steps)],  # noqa: S704 - made and escaped in svg.py
        skipped=logged[-1]["skipped"] if logged else {},
        measured=measured[-1] if measured else {},
        rows=table(measured),
        settings=to_toml(recipe),
    )


def figures(logged: Lines, measured: Lines, steps: int) -> list[str]:
    """Charts of whatever was measured."""
    chance = Curve("chance", series(measured, "chance"), dashed=True)
    pairs = sorted({name.partition("/")[2] for line in measured for name in line if name.startswith("r1/")})
    charts = []
    for depth in (1, 5, 10):
        curves = [Curve(pair, series(measured, f"r{depth}/{pair}")) for pair in pairs]
        blind = chance._replace(points=[(step, min(1.0, depth * value)) for step, value in chance.points])
        if curves:
            charts.append(chart(f"Retrieval on held-out shots: first {depth}", [*curves, blind], steps, share=True))
    terms = sorted({name for line in logged for name in line if name.startswith("loss/")})
    plain = [
        (
            "Loss",
            [Curve("sum", series(logged, "loss"))] + [Curve(name[5:], series(logged, name)) for name in terms],
            False,
        ),
        ("Gradient norm", [Curve("before clipping", series(logged, "gradient_norm"))], False),
        ("Learning rate", [Curve("rate", series(logged, "rate"))], False),
        ("Temperature", [Curve("temperature", series(logged, "temperature"))], False),
        ("Clips a second", [Curve("all processes", series(logged, "clips_per_s"))], False),
        ("Time spent waiting for data", [Curve("share", series(logged, "data_wait"))], True),
    ]
    return charts + [chart(title, curves, steps, share=share) for title, curves, share in plain if curves[0].points]


def series(lines: Lines, name: str) -> list[tuple[float, float]]:
    return [(line["step"], line[name]) for line in lines if name in line]


def table(measured: Lines) -> list[dict[str, Any]]:
    """Recalls of the last measurement: one row a pair of streams."""
    if not measured:
        return []
    last = measured[-1]
    pairs = sorted({name.partition("/")[2] for name in last if name.startswith("r1/")})
    return [{"pair": pair, **{f"r{depth}": last[f"r{depth}/{pair}"] for depth in (1, 5, 10)}} for pair in pairs]
