"""The paper's claims as contrasts with a verdict each: holds, does not hold, undecided."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np

from trainer.evaluation.results.significance import DRAWS, Measured, compare, from_counts

Measures = Mapping[str, Any]
"""What :func:`trainer.reproduce.processes.write` wrote of one column and fold."""

Verdict = Literal["holds", "does not hold", "undecided"]
Kind = Literal["above", "below", "alike", "not below"]

MAIN_MEASURE = ("scene", "EFJ", "EN")
"""Named before any reported seed was run: background class under English speech, EFJ against EN, λ_a = 1."""
MARGIN = 0.03
"""Differences smaller than three points count as none."""
FEWEST_FOLDS = 3
"""With fewer nothing is decided."""
LEVEL = 0.05


class Contrast(NamedTuple):
    """A metric of one column against that of another, and what is claimed of the difference."""

    metric: str
    one: str
    other: str
    kind: Kind
    published: str = ""
    """The task of Tables B.3 and B.4 that comes nearest, whose difference is shown beside ours."""


class Claim(NamedTuple):
    name: str
    text: str
    source: str
    contrasts: tuple[Contrast, ...]


NEAREST = {"scene": "tut18", "clean": "esc50", "count": "libricount", "digit": "speech_commands_5h"}

CLAIMS = (
    Claim(
        "main",
        "Dubs as second sound are better than a second view of the original on sound under speech (main measure)",
        "paper, Table B.3: EFJ above EN",
        (Contrast(*MAIN_MEASURE, "above", "tut18"),),
    ),
    Claim(
        "clean", "The same on clean sounds", "Table B.3, ESC-50", (Contrast("clean", "EFJ", "EN", "above", "esc50"),)
    ),
    Claim(
        "nonsemantic",
        "Dubs are better on how it is said rather than what",
        "Table B.3, LibriCount and non-semantic tasks",
        (Contrast("count", "EFJ", "EN", "above", "libricount"),),
    ),
    Claim(
        "each language",
        "Each single language does it",
        "Table B.3: ES, FR, JA above EN",
        tuple(Contrast("scene", name, "EN", "above", "tut18") for name in ("ES", "FR", "JA")),
    ),
    Claim(
        "languages alike",
        "Which language hardly matters",
        "Table B.3: ES, FR, JA and EFJ are close",
        tuple(Contrast("scene", name, "EFJ", "alike", "tut18") for name in ("ES", "FR", "JA")),
    ),
    Claim(
        "sep sounds",
        "Without speech sounds are learnt well",
        "Table B.3, SEP",
        (Contrast("clean", "SEP", "EN", "above", "esc50"),),
    ),
    Claim(
        "sep speech",
        "Without speech less is learnt of voices",
        "Table B.3, SEP",
        (Contrast("count", "SEP", "EN", "below", "libricount"), Contrast("digit_speaker", "SEP", "EN", "below")),
    ),
    Claim(
        "sep pictures",
        "Without speech pictures and both together are worse",
        "Table B.3, VGGSound and video, SEP",
        (Contrast("video", "SEP", "EN", "below", "ucf101"), Contrast("audiovisual", "SEP", "EN", "below", "vggsound")),
    ),
    Claim(
        "audio alone",
        "Sound alone learns less than sound with pictures",
        "Table B.3: AUD is last",
        (Contrast("scene", "AUD", "EN", "below", "tut18"), Contrast("clean", "AUD", "EN", "below", "esc50")),
    ),
    Claim(
        "audio with dubs",
        "Dubs help sound alone, everywhere",
        "Tables B.3 and B.4: AUD+EFJ above AUD",
        tuple(
            Contrast(metric, "AUD+EFJ", "AUD", "above", task)
            for metric, task in NEAREST.items()
            if metric in {"scene", "clean", "count", "digit"}
        ),
    ),
    Claim(
        "language kept",
        "Tasks of words and languages are not harmed",
        "Table B.4",
        (
            Contrast("digit", "EFJ", "EN", "not below", "speech_commands_5h"),
            Contrast("digit_speaker", "EFJ", "EN", "not below"),
            Contrast("language", "EFJ", "EN", "not below", "voxlingua10"),
        ),
    ),
    Claim(
        "language or speech",
        "Another language does more than other speech in the same one",
        "ours: the paper has no same-language redub",
        (Contrast("scene", "EFJ", "EN2", "above"),),
    ),
    Claim(
        "cross terms alone",
        "Dubs help without the term between the two sounds, too",
        "the paper's own terms: λ_a = 0 in section B.3",
        (Contrast("scene", "EFJ, λ_a = 0", "EN, λ_a = 0", "above"),),
    ),
    Claim(
        "separation alone",
        "With EN's views and terms, taking the speech out is good for sounds",
        "ours: SEP with two views, so that views and terms are equal",
        (Contrast("scene", "SEP, two views", "EN", "above"), Contrast("clean", "SEP, two views", "EN", "above")),
    ),
)


class Difference(NamedTuple):
    """One − other as shares: mean over folds, deviation over folds, and two 95 % intervals.

    Attributes:
        by_source: Of a paired bootstrap over source recordings: what other sounds would do.
        by_fold: Of Student's t over folds: what other trainings would do, too; None of fewer than two folds.
        p: Of the bootstrap, two-sided, before any correction.
    """

    value: float
    sd: float | None
    by_source: tuple[float, float]
    by_fold: tuple[float, float] | None
    p: float
    folds: int

    @property
    def interval(self) -> tuple[float, float]:
        """From the lower of the low ends to the higher of the high ones."""
        other = self.by_fold or self.by_source
        return min(self.by_source[0], other[0]), max(self.by_source[1], other[1])


def difference(
    one: Mapping[int, Measures], other: Mapping[int, Measures], metric: str, draws: int = DRAWS
) -> Difference | None:
    """Compare two columns on the folds that both have.

    Args:
        one: Fold → what :func:`trainer.reproduce.processes.write` wrote.
        other: The same.
        metric: Of :data:`trainer.reproduce.probes.METRICS`.
        draws: Of the bootstrap.
    """
    from scipy.stats import t

    folds = [fold for fold in one if fold in other]
    if not folds or any(metric not in side[fold]["statistics"] for side in (one, other) for fold in folds):
        return None
    first, second = (pooled([side[fold] for fold in folds], metric) for side in (one, other))
    comparison = compare(first, second, draws)
    if comparison is None:
        return None
    each = np.array([value_of(one[fold], metric) - value_of(other[fold], metric) for fold in folds])
    sd = float(each.std(ddof=1)) if len(folds) > 1 else None
    by_fold = None
    if sd is not None:
        reach = float(t.ppf(0.975, len(folds) - 1)) * sd / np.sqrt(len(folds))
        by_fold = (float(each.mean() - reach), float(each.mean() + reach))
    return Difference(comparison.difference, sd, (comparison.low, comparison.high), by_fold, comparison.p, len(folds))


def pooled(folds: Sequence[Measures], metric: str) -> Measured:
    """All folds' sources as one; each fold's are its own."""
    kept = [fold["statistics"][metric] for fold in folds]
    sources = [source for one in kept for source in one["sources"]]
    counts = np.concatenate([np.array(one["counts"], np.float64) for one in kept])
    return from_counts(kept[0]["kind"], sources, counts)


def value_of(measured: Measures, metric: str) -> float:
    right, every = np.array(measured["statistics"][metric]["counts"]).sum(0)
    return float(right / every)


def paper_difference(contrast: Contrast) -> float | None:
    """The same columns' difference on the nearest task of the paper, where it has both."""
    from trainer.evaluation.results.table import published_of

    known = {name.split(" ", 1)[1]: value for name, (value, _) in published_of(contrast.published).items()}
    one, other = known.get(contrast.one), known.get(contrast.other)
    return one - other if one is not None and other is not None else None


def holm(values: Sequence[float]) -> list[float]:
    """p-values corrected for their number (Holm 1979)."""
    adjusted, largest = [1.0] * len(values), 0.0
    for rank, at in enumerate(np.argsort(values)):
        largest = max(largest, min(1.0, values[at] * (len(values) - rank)))
        adjusted[at] = largest
    return adjusted


def verdict(kind: Kind, difference: Difference, p: float) -> Verdict:
    """What a difference says of a claim.

    Args:
        kind: What is claimed.
        difference: With its interval and folds.
        p: Corrected; the main measure's, which was named beforehand, is not.
    """
    low, high = difference.interval
    if difference.folds < FEWEST_FOLDS:
        return "undecided"
    if kind == "alike":
        return (
            "holds"
            if low > -MARGIN and high < MARGIN
            else "does not hold"
            if low > MARGIN or high < -MARGIN
            else "undecided"
        )
    if kind == "not below":
        return "holds" if low > -MARGIN else "does not hold" if high < -MARGIN else "undecided"
    if kind == "below":
        low, high = -high, -low
    return "holds" if low > 0 and p < LEVEL else "does not hold" if high < 0 else "undecided"


def judged(columns: Mapping[str, Mapping[int, Measures]], draws: int = DRAWS) -> list[dict[str, Any]]:
    """Every claim with its contrasts, their differences and verdicts; a claim holds if all of its contrasts do.

    Args:
        columns: Label → fold → measures.
        draws: Of the bootstrap.
    """
    known = {}
    for claim in CLAIMS:
        for contrast in claim.contrasts:
            if contrast.one in columns and contrast.other in columns:
                measured = difference(columns[contrast.one], columns[contrast.other], contrast.metric, draws)
                if measured is not None:
                    known[contrast] = measured
    tested = [one for one in known if one[:3] != MAIN_MEASURE and one.kind in {"above", "below"}]
    corrected = dict(zip(tested, holm([known[one].p for one in tested]), strict=True))
    rows = []
    for claim in CLAIMS:
        parts = []
        for contrast in claim.contrasts:
            if contrast in known:
                measured = known[contrast]
                p = corrected.get(contrast, measured.p)
                parts.append(
                    {
                        **contrast._asdict(),
                        "difference": measured.value,
                        "sd": measured.sd,
                        "interval": measured.interval,
                        "by_source": measured.by_source,
                        "by_fold": measured.by_fold,
                        "p": measured.p,
                        "p_holm": p,
                        "folds": measured.folds,
                        "paper": paper_difference(contrast),
                        "verdict": verdict(contrast.kind, measured, p),
                    }
                )
        says = {part["verdict"] for part in parts}
        whole = len(parts) == len(claim.contrasts)
        outcome = (
            "holds" if says == {"holds"} and whole else "does not hold" if "does not hold" in says else "undecided"
        )
        rows.append(
            {"name": claim.name, "text": claim.text, "source": claim.source, "verdict": outcome, "contrasts": parts}
        )
    return rows
