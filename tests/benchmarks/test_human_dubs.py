"""Our dubs beside human ones, heard by the same ears: one table, and every promise about dubs as a test.

``COUNTERDUB_DUBS`` names another folder of ``{title}_{shot}_{lang}.mp4``; ``COUNTERDUB_SECOND_EMBEDDER`` an installed
speaker encoder that had no part in choosing the voices; ``COUNTERDUB_BENCH`` a folder in which runs
and ``results/human_dubs.json`` are kept. Figures are medians over clips or lines. What was measured once on 109 human
dubs is asked of our dubs of the films; everything else of all our dubs.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import pytest

from shared.audio import files
from shared.core.records import SAMPLE_RATE
from shared.media.probing import probe as look
from shared.media.sound import decode_audio
from shared.quality.shortcut import probe
from shared.settings.models import PairingSettings
from tests.benchmarks import published
from tests.benchmarks.listening import Blocks, Comparison, Heard, Listener, Window
from tests.benchmarks.running import LANGUAGES, dub, folder, write_result
from tests.benchmarks.spoken import text_of, word_recall
from tests.benchmarks.table import Row, mean, middle, printed, size

pytestmark = pytest.mark.bench
NAME = re.compile(r"(?P<clip>.+_.+)_(?P<language>[a-z]{2})")
SOURCE = "en"
MAX_RESIDUAL = PairingSettings().max_residual_speech


@dataclass
class Measured:
    """Everything that was measured on one set of dubs."""

    dubs: list[Comparison] = field(default_factory=list)
    control_blocks: Blocks = field(default_factory=lambda: Blocks([], [], []))
    orig_blocks: Blocks = field(default_factory=lambda: Blocks([], [], []))
    titles: list[Path] = field(default_factory=list)
    plain: list[float] = field(default_factory=list)
    """Word recall of the recogniser's plain call, of titles whose words are known."""

    def __add__(self, other: Measured) -> Measured:
        def both(one: Blocks, two: Blocks) -> Blocks:
            return Blocks(one.one + two.one, one.other + two.other, one.groups + two.groups)

        return Measured(
            self.dubs + other.dubs,
            both(self.control_blocks, other.control_blocks),
            both(self.orig_blocks, other.orig_blocks),
            self.titles + other.titles,
            self.plain + other.plain,
        )


@pytest.fixture(scope="module")
def measured(
    weights: Any, data_dir: Path, sample: Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Measured]:
    """Human dubs, ours of the same films, ours of the sample."""
    source = Path(os.environ.get("COUNTERDUB_DUBS", data_dir / "dubbed-shots"))
    films = sorted(source.glob(f"*_{SOURCE}.mp4"))
    if not films:
        pytest.skip("no human dubs: set COUNTERDUB_DUBS to a folder of {title}_{shot}_{lang}.mp4")
    ear = Listener(weights)
    ours, own = folder(tmp_path_factory, "films"), folder(tmp_path_factory, "sample")
    dub(films, ours)
    dub([sample], own)
    return {
        "human": people(ear, source, tmp_path_factory.mktemp("masters")),
        "films": our_dubs(ear, ours, by_shot=False),
        "sample": our_dubs(ear, own, by_shot=True),
    }


def people(ear: Listener, source: Path, work: Path) -> Measured:
    """The human dubs of a folder; picture and sound are put on the clock as ingest does."""
    found = Measured()
    for film in sorted(source.glob(f"*_{SOURCE}.mp4")):
        name = NAME.fullmatch(film.stem)
        assert name is not None
        clip = name["clip"]
        tracks = {path.stem[-2:]: path for path in source.glob(f"{clip}_??.mp4") if path.stem[-2:] in LANGUAGES}
        heard: dict[str, Heard] = {}
        for language, path in {SOURCE: film, **tracks}.items():
            master = work / f"{path.stem}.flac"
            decode_audio(path, look(path), master)
            heard[language] = ear.hear(master)
        original = heard.pop(SOURCE)
        window = (0.0, original.mix.shape[1] / SAMPLE_RATE)
        for language, track in heard.items():
            add(found.dubs, ear.compare(clip, language, original, track, window))
            found.orig_blocks.add(clip, original, track, [window], (original, track))
    return found


def our_dubs(ear: Listener, out: Path, by_shot: bool) -> Measured:
    """Our dubs of every title of an output folder."""
    found = Measured(titles=published.titles(out))
    for title in found.titles:
        if said := text_of(title.name):
            found.plain.append(word_recall(said, ear.plain_text(title / "tracks" / "orig.flac")))
        heard = {path.stem: ear.hear(path) for path in sorted((title / "tracks").glob("*.flac"))}
        original, control = heard.pop("orig"), heard.pop("control")
        windows: list[Window] = [(0.0, original.mix.shape[1] / SAMPLE_RATE)]
        if by_shot:
            shots = json.loads((title / "title.json").read_text(encoding="utf-8"))["shots"]
            windows = [(shot["start"], shot["end"]) for shot in shots]
        for language, track in heard.items():
            clean = files.read_audio(title / "stems" / f"speech.{language}.flac")
            for number, window in enumerate(windows):
                name = f"{title.name}/{number}"
                add(found.dubs, ear.compare(name, language, original, track, window, clean))
            found.control_blocks.add(title.name, control, track, windows, (original, control, track))
            found.orig_blocks.add(title.name, original, track, windows, (original, track))
    return found


def add(found: list[Comparison], one: Comparison | None) -> None:
    if one is not None:
        found.append(one)


def auc(blocks: Blocks) -> float | None:
    if not blocks.groups:
        return None
    numbers = {group: index for index, group in enumerate(sorted(set(blocks.groups)))}
    return probe(array(blocks.one), array(blocks.other), [numbers[group] for group in blocks.groups]).auc


def array(rows: list[Any]) -> Any:
    import numpy as np

    return np.array(rows, dtype=np.float32)


def right(dubs: Iterable[Comparison]) -> float | None:
    return mean(float(one.detected_language == one.language) for one in dubs if one.detected_language)


def lines_right(titles: Iterable[Path]) -> float | None:
    """Share of our lines of at least 2 s heard in the right language."""
    return mean(
        float(line.detected_language == language)
        for title in titles
        for language, line in published.lines(title)
        if line.detected_language
    )


def error_rate(language: str) -> Callable[[Measured], float | None]:
    return lambda found: middle(
        line.round_trip_cer for title in found.titles for _, line in published.lines(title, [language])
    )


def count(check: Callable[[Path], list[str]]) -> Callable[[Measured], float | None]:
    return lambda found: sum(len(check(title)) for title in found.titles) if found.titles else None


def recalls(found: Measured) -> list[float]:
    texts = [(text_of(title.name), title) for title in found.titles]
    return [word_recall(said, published.heard_text(title)) for said, title in texts if said]


def clips(measure: Callable[[Comparison], float | None]) -> Callable[[Measured], float | None]:
    return lambda found: middle(measure(one) for one in found.dubs)


def highest_null(found: Measured) -> float | None:
    peaks = [peak for title in found.titles for peak in published.null_peaks(title).values()]
    return max(peaks, default=None)


def of_language(language: str, measure: Callable[[Comparison], float | None]) -> Callable[[Measured], float | None]:
    return lambda found: middle(measure(one) for one in found.dubs if one.language == language)


def sized(name: str) -> Callable[[Measured], float | None]:
    return lambda found: middle(size(getattr(one, name) for one in found.dubs))


def pitch_correlation(one: Comparison) -> float | None:
    return one.pitch_correlation


MEASURES: list[tuple[str, Callable[[Measured], float | None], dict[str, Any]]] = [
    ("isochrony IoU", clips(lambda one: one.iou), {"limit": 0.84, "judged": "films"}),
    (
        "speech |ΔLU|, on the final track",
        sized("loudness_difference_lu"),
        {"limit": 2.2, "better": "below", "judged": "films"},
    ),
    ("language right, clips of ≥ 2 s speech", lambda found: right(found.dubs), {"limit": 0.95, "judged": "films"}),
    ("language right, lines of ≥ 2 s", lambda found: lines_right(found.titles), {"limit": 0.95}),
    (
        "speaker cosine, separated from the track",
        clips(lambda one: one.speaker_cosine),
        {"limit": 0.61, "judged": "films"},
    ),
    ("speaker cosine, speech stem", clips(lambda one: one.clean_speaker_cosine), {}),
    ("speaker cosine by a second encoder, if one is named", clips(lambda one: one.second_cosine), {}),
    ("share of the original's speech dubbed", clips(lambda one: one.overlap), {}),
    ("words heard, of those that are known", lambda found: mean(recalls(found)), {}),
    ("words heard by the recogniser's plain call", lambda found: mean(found.plain), {}),
    (
        "shots with speech left in the background",
        lambda found: mean(float(one > MAX_RESIDUAL) for title in found.titles for one in published.residuals(title)),
        {},
    ),
    ("DNSMOS, voice separated from the track", clips(lambda one: one.dnsmos), {}),
    ("correlation of level with the original", clips(lambda one: one.energy_correlation), {}),
    *(
        (f"correlation of pitch with the original, {language}", of_language(language, pitch_correlation), {})
        for language in LANGUAGES
    ),
    ("median pitch, semitones from the original's", sized("pitch_offset"), {}),
    ("spread of pitch, semitones", clips(lambda one: one.pitch_spread), {}),
    ("spread of the original's pitch, semitones", clips(lambda one: one.source_pitch_spread), {}),
    ("onset error, s", sized("onset_error"), {}),
    ("offset error, s", sized("offset_error"), {}),
    ("background level, |dB| from the original's", sized("background_level_db"), {}),
    ("background difference, dB of the original's", clips(lambda one: one.background_residual_db), {"digits": 1}),
    ("control-vs-dub AUC", lambda found: auc(found.control_blocks), {"limit": 0.55, "better": "below"}),
    ("orig-vs-dub AUC", lambda found: auc(found.orig_blocks), {"limit": 0.60, "better": "below"}),
    ("round-trip CER es", error_rate("es"), {"limit": 0.15, "better": "below"}),
    ("round-trip CER fr", error_rate("fr"), {"limit": 0.15, "better": "below"}),
    ("round-trip CER ja, kana", error_rate("ja"), {"limit": 0.30, "better": "below"}),
    (
        "loudness of lines against the vocals, |LU|",
        lambda found: middle(size(lu for title in found.titles for lu in published.loudness_differences(title))),
        {"limit": 1.5, "better": "below"},
    ),
    ("null test, highest peak, dBFS", highest_null, {"limit": -60.0, "better": "below", "digits": 0}),
    ("tracks of another length", count(published.wrong_lengths), {"limit": 0, "better": "below", "digits": 0}),
    ("lines outside their slot, unreported", count(published.late_lines), {"limit": 0, "better": "below", "digits": 0}),
    ("lines lost without a reason", count(published.lost_lines), {"limit": 0, "better": "below", "digits": 0}),
    ("lines understood but not spoken", count(published.silent_lines), {"digits": 0}),
]


@pytest.fixture(scope="module")
def rows(measured: dict[str, Measured], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Row]:
    """The table, printed and written."""
    ours = measured["films"] + measured["sample"]
    table = [
        Row(
            name,
            human=measure(measured["human"]),
            films=measure(measured["films"]),
            sample=measure(measured["sample"]),
            ours=measure(ours),
            **options,
        )
        for name, measure, options in MEASURES
    ]
    clips_of = {name: [asdict(one) for one in found.dubs] for name, found in measured.items()}
    silent = [line for title in ours.titles for line in published.silent_lines(title)]
    result = {"rows": [row.to_dict() for row in table], "clips": clips_of, "not_spoken": silent}
    path = write_result(tmp_path_factory, "human_dubs", result)
    heard = ", ".join(f"{name} {len(found.dubs)}" for name, found in measured.items())
    print(f"\n\n{printed(table)}\nclips × languages: {heard}; medians; ours is films and sample together\n{path}")
    for line in silent:
        print(f"  not spoken: {line}")
    return {row.name: row for row in table}


@pytest.mark.parametrize("name", [name for name, _, options in MEASURES if "limit" in options])
def test_must_hold(name: str, rows: dict[str, Row]) -> None:
    row = rows[name]
    assert row.holds, f"{name}: {row.value}, limit {row.limit}"
