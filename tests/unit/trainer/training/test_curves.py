"""The page of curves: one file, nothing from elsewhere, numbers where they belong."""

from __future__ import annotations

import re
from typing import Any
from xml.etree import ElementTree

import pytest

from tests.unit.trainer.training.feeds import small
from trainer.curves import draw_page
from trainer.curves.svg import Curve, chart, thinned, ticks


def lines(steps: int) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for step in range(1, steps + 1):
        found.append(
            {
                "step": step, "loss": 5 / step, "loss/v_p|a_p": 3 / step, "gradient_norm": 1.0, "rate": 1e-3,
                "temperature": 0.07, "clips_per_s": 20.0, "data_wait": 0.25, "skipped": {"short": 2},
            }
        )  # fmt: skip
        if step % 10 == 0:
            found.append(
                {"step": step, "held_out": 40, "chance": 0.025, **{f"r{n}/audio-video": 0.5 for n in (1, 5, 10)}}
            )
    return found


def test_the_page_is_whole_and_needs_nothing_else() -> None:
    recipe = small("tiny-en", "description='<script>alert(1)</script>'")
    text = draw_page(recipe, lines(1500), 1500)
    assert "<script>" not in text and not re.search(r"(src|href)\s*=|url\(|@import", text)
    assert len(text) < 300_000
    pictures = re.findall(r"<svg.*?</svg>", text, re.S)
    assert len(pictures) == 9
    for picture in pictures:
        ElementTree.fromstring(picture)
    for said in ("Retrieval on held-out shots", "chance", "v_p|a_p", "Skipped: short 2", "audio → video", "50.0 %"):
        assert said in text


def test_a_run_that_has_not_begun_has_a_page() -> None:
    assert "Step 0 of 10" in draw_page(small("tiny-en"), [], 10)


def test_points_lie_where_their_values_are() -> None:
    svg = chart("t", [Curve("a", [(0, 0.0), (50, 0.5), (100, 1.0)])], 100, share=True)
    points = re.search(r'points="([^"]+)"', svg)
    assert points is not None
    (x0, y0), (x1, y1), (x2, y2) = ([float(n) for n in pair.split(",")] for pair in points[1].split())
    assert x1 - x0 == pytest.approx(x2 - x1, abs=0.2) and y0 - y1 == pytest.approx(y1 - y2, abs=0.2) and y0 > y2


@pytest.mark.parametrize("low, high", [(0, 1), (3.2, 3.4), (0, 12_000), (-5, 5), (1e-5, 3e-4)])
def test_ticks_are_round_and_inside(low: float, high: float) -> None:
    found = ticks(low, high)
    assert 2 <= len(found) <= 6 and all(low - 1e-9 <= tick <= high * (1 + 1e-9) for tick in found)


def test_long_curves_are_thinned_and_keep_their_end() -> None:
    points = [(float(step), step % 2 * 1.0) for step in range(10_000)]
    found = thinned(points)
    assert len(found) <= 601 and found[-1] == points[-1]
    assert all(value == pytest.approx(0.5, abs=0.1) for _, value in found[:-2])
