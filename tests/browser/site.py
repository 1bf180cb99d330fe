"""What the page is shown in tests: a title whose sounds tell what and when they are, and one of 1,000 shots."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from services.pairing.acceptance.criteria import judge, need_counterpart, objections
from shared.audio.files import write
from shared.core.records import DubbedUtterance, Shot, Utterance, write_jsonl
from shared.schemas.pairs import PairRow
from tests.integration.api.harness import Api
from tests.unit.services.pairing.report.fixtures import RunFolder, add_title, make_quality, record

SECONDS = 30.5
TRACKS = ("orig", "control", "es", "fr")
SHOTS = 1000


def noise(number: int, seconds: float = SECONDS) -> np.ndarray:
    """Sound that is like itself at one moment only, and like no other track; float32 ``[samples]``, 48 kHz."""
    rng = np.random.default_rng(number)
    smooth = np.convolve(rng.normal(0, 1, round(seconds * 48_000)), np.hanning(24) / 12, "same")
    return (0.1 * smooth).astype(np.float32)


def short_title(api: Api, folder: Path, video: Path, name: str = "kitchen") -> str:
    """A finished job with one title: real tables and report, noise for sounds."""
    run = RunFolder(folder / "in")
    add_title(run, name, languages=("es", "fr"), previews=False)
    _, _, outputs = run.make(folder / "out")
    files = {path: file for path, file in outputs.items() if "/" not in path}
    files |= {path: file for path, file in run.inputs.items() if "utterances/" in path or path.endswith("title.json")}
    for number, track in enumerate(TRACKS):
        files[f"{name}/tracks/{track}.flac"] = write(folder / f"{track}.flac", noise(number))
    for stem in ("vocals", "background", "speech.control", "speech.es", "speech.fr"):
        files[f"{name}/stems/{stem}.flac"] = write(folder / f"{stem}.flac", noise(len(stem)))
    files[f"{name}/{name}.mp4"] = files[f"{name}/{name}.mkv"] = video
    job = api.job(state="done", titles=(name,))
    api.publish(job, files)
    return job


def long_title(api: Api, folder: Path, video: Path, name: str = "series") -> str:
    """A finished job with a title of 1,000 shots of five seconds and two lines in each."""
    run = RunFolder(folder / "in")
    run.titles.append(name)
    rng = np.random.default_rng(7)
    shots = [Shot(index=at, start=5.0 * at, end=5.0 * at + (5.0 if at % 9 else 2.5)) for at in range(SHOTS)]
    source: list[Any] = []
    spoken: dict[str, list[Any]] = {"control": [], "es": [], "fr": []}
    for at in range(2 * SHOTS):
        start, words = 2.5 * at + 0.3, f"This is line number {at}."
        times = {"start": start, "end": start + 1.6, "speaker": f"S{1 + at % 3}"}
        source.append(Utterance(id=f"u{at + 1:04}", language="en", text=words, **times))
        for track, lines in spoken.items():
            lines.append(
                DubbedUtterance(
                    id=f"u{at + 1:04}",
                    language="en" if track == "control" else track,
                    text=words if track == "control" else f"Línea número {at}.",
                    source_text=words,
                    source_start=start,
                    source_end=start + 1.6,
                    slot_start=start,
                    slot_end=start + 2.0,
                    round_trip_cer=float(rng.beta(1, 4)),
                    speaker_similarity=float(rng.uniform(0.5, 0.9)),
                    fit_ratio=float(rng.normal(1, 0.1)),
                    loudness_difference_lu=float(rng.normal(0, 2)),
                    detected_language=None if track == "control" else track,
                    language_confidence=0.9,
                    **times,
                )
            )
    write_jsonl(run.file(name, "utterances/en.jsonl"), source)
    for track, lines in spoken.items():
        write_jsonl(run.file(name, f"utterances/{track}.jsonl"), lines)
    tracks = ["orig", *spoken]
    rows = [row for shot in shots for row in judged(name, shot, tracks, spoken, run, rng)]
    write_jsonl(run.file(name, "pairs.jsonl"), [row for row in rows if row.accepted])
    write_jsonl(run.file(name, "rejects.jsonl"), [row for row in rows if not row.accepted])
    quality = make_quality(name, rows, shots, tracks, run.settings)
    run.file(name, "quality.json").write_text(quality.model_dump_json(), encoding="utf-8")
    run.json(name, "title.json", record(name, tracks, ("es", "fr"), shots))
    _, _, outputs = run.make(folder / "out")
    files = {path: file for path, file in outputs.items() if "/" not in path}
    files |= {path: file for path, file in run.inputs.items() if "utterances/" in path or path.endswith("title.json")}
    # The first view reaches no farther.
    for number, track in enumerate(tracks):
        files[f"{name}/tracks/{track}.flac"] = write(folder / f"{track}.flac", noise(number, 20))
    files[f"{name}/{name}.mp4"] = video
    job = api.job(state="done", titles=(name,))
    api.publish(job, files)
    return job


def judged(
    name: str, shot: Shot, tracks: list[str], spoken: dict[str, list[Any]], run: RunFolder, rng: np.random.Generator
) -> list[PairRow]:
    """The rows of one shot with the pipeline's own verdicts."""
    found = []
    for track in tracks:
        lines = [] if track == "orig" else spoken[track][2 * shot.index : 2 * shot.index + 2]
        row = PairRow(
            title=name,
            shot=shot.index,
            start=shot.start,
            end=shot.end,
            source_language="en",
            track=track,
            language="en" if track in {"orig", "control"} else track,
            utterances=2,
            speech_ratio=0.6,
            detected_language=None if track == "orig" else lines[0].language,
            language_confidence=None if track == "orig" else 0.9,
            overflow_ms=float(rng.choice([0, 0, 0, 0, 120])) if lines else None,
            isochrony_iou=float(rng.uniform(0.2, 1)) if lines else None,
            round_trip_cer=float(np.mean([line.round_trip_cer for line in lines])) if lines else None,
            loudness_difference_lu=lines[0].loudness_difference_lu if lines else None,
            null_residual_db=-200.0 if lines else None,
            residual_speech=float(rng.choice([0, 0, 0, 0, 0.3, 0.7])) if lines else None,
            speech_dubbed=float(rng.uniform(0.5, 1)) if lines else None,
        )
        found.append(judge(row, objections(row, lines, 0.6, run.settings.pairing)))
    return need_counterpart(found)
