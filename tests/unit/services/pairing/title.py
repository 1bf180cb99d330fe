"""A small made-up title: stems by chunk, two dubs and a control, no models."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from shared.audio.files import length, write
from shared.core.records import SAMPLE_RATE, DubbedUtterance, Shot, Utterance, write_jsonl
from shared.pipeline.stage import Scope, Stage
from shared.settings.models import Settings

SECONDS = 12.0
SHOTS = [(0.0, 4.0), (4.0, 8.0), (8.0, 9.0), (9.0, 12.0)]
"""Kept, kept but silent, too short, kept."""
CHUNKS = [(0, 8 * SAMPLE_RATE), (8 * SAMPLE_RATE, 12 * SAMPLE_RATE)]
SPOKEN = {"u0001": (0.5, 3.0), "u0002": (9.5, 11.5)}
TRACKS = ("control", "es", "ja")


class Workbench:
    """The executor's side of a stage, for tests."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.shares: list[float] = []
        self.counters: dict[str, float] = {}

    def path(self, name: str) -> Path:
        self.folder.mkdir(parents=True, exist_ok=True)
        return self.folder / f"{len(list(self.folder.iterdir())):05}-{name}"

    def progress(self, share: float) -> None:
        self.shares.append(share)

    def count(self, name: str, amount: float = 1) -> None:
        self.counters[name] = self.counters.get(name, 0) + amount

    def cached(self, key: Mapping[str, Any], suffix: str, make: Callable[[Path], None]) -> Path:
        raise AssertionError("pairing keeps no smaller artifacts")


def run_stage(
    stage: Stage,
    folder: Path,
    inputs: Mapping[str, Path],
    scope: Scope | None = None,
    settings: Settings | None = None,
) -> dict[str, Path]:
    """Run a stage as the executor would; its progress must rise and end within 0–1."""
    work = Workbench(folder)
    settings = settings or Settings()
    outputs = dict(stage.run(scope or Scope(), inputs, stage.settings(settings), {}, work))
    assert work.shares == sorted(work.shares)
    assert all(0 <= share <= 1 + 1e-9 for share in work.shares)
    return outputs


@dataclass
class Title:
    """Files of a title as earlier stages would leave them."""

    folder: Path
    files: dict[str, Path] = field(default_factory=dict)

    def json(self, name: str, value: Any) -> None:
        path = self.folder / name.replace("/", "_")
        path.write_text(json.dumps(value), encoding="utf-8")
        self.files[name] = path

    def jsonl(self, name: str, rows: list[Any]) -> None:
        self.files[name] = write_jsonl(self.folder / name.replace("/", "_"), rows)

    def sound(self, name: str, audio: np.ndarray) -> None:
        self.files[name] = write(self.folder / (name.replace("/", "_") + ".flac"), audio)

    def some(self, *names: str) -> dict[str, Path]:
        """Inputs whose name is one of these, or lies below one of them."""
        return {
            name: path for name, path in self.files.items() if any(name == n or name.startswith(n + "/") for n in names)
        }


def dubbed(utterance: str, track: str, **changes: Any) -> DubbedUtterance:
    start, end = SPOKEN[utterance]
    values: dict[str, Any] = {
        "id": utterance,
        "speaker": "S1",
        "language": "en" if track == "control" else track,
        "source_text": "hello there",
        "text": f"{utterance} in {track}",
        "start": start,
        "end": end,
        "source_start": start,
        "source_end": end,
        "slot_start": start,
        "slot_end": end,
        "fit_ratio": 1.0,
        "loudness_difference_lu": 0.5,
        "round_trip_cer": 0.1,
        "detected_language": "en" if track == "control" else track,
        "language_confidence": 0.9,
        "speaker_similarity": 0.7,
    }
    return DubbedUtterance(**{**values, **changes})


def make_title(folder: Path, loudness: float = 0.7) -> Title:
    """Noise as background, tone bursts as speech; loud enough to need a gain of the title."""
    folder.mkdir(parents=True, exist_ok=True)
    title = Title(folder)
    rng = np.random.default_rng(0)
    count = int(SECONDS * SAMPLE_RATE)
    time = np.arange(count) / SAMPLE_RATE
    background = rng.uniform(-0.4, 0.4, (2, count)).astype(np.float32)
    speech = {}
    for number, track in enumerate(("orig", *TRACKS)):
        tone = loudness * np.sin(2 * np.pi * (200 + 100 * number) * time)
        active = np.zeros(count)
        for start, end in SPOKEN.values():
            active[int(start * SAMPLE_RATE) : int(end * SAMPLE_RATE)] = 1
        speech[track] = np.stack([tone * active] * 2).astype(np.float32)
    title.sound("master.flac", np.clip(background + speech["orig"], -1, 1))
    for index, (start, end) in enumerate(CHUNKS):
        title.sound(f"background/{index:04}", background[:, start:end])
        title.sound(f"vocals/{index:04}", speech["orig"][:, start:end])
        for track in TRACKS:
            title.sound(f"speech/{track}/{index:04}", speech[track][:, start:end])
            here = [u for u, (at, _) in SPOKEN.items() if start <= at * SAMPLE_RATE < end]
            title.jsonl(f"dubbed/{track}/{index:04}", [dubbed(u, track) for u in here])
            spans = [{"start": SPOKEN[u][0], "end": SPOKEN[u][1]} for u in here]
            title.json(f"activity/{track}/{index:04}", {"source": spans, "dub": spans})
    title.json("chunks.json", [{"index": i, "start": a, "end": b} for i, (a, b) in enumerate(CHUNKS)])
    title.json("shots.json", [Shot(index=i, start=a, end=b).model_dump() for i, (a, b) in enumerate(SHOTS)])
    lines = [Utterance(id=u, start=a, end=b, language="en", text="hello there") for u, (a, b) in SPOKEN.items()]
    title.jsonl("utterances.jsonl", lines)
    return title


def finish_tracks(title: Title, settings: Settings | None = None) -> Title:
    """Run ``level`` and ``track`` as the planner does and add their outputs."""
    from services.pairing.stage import LEVEL, TRACK

    folder = title.folder
    level = run_stage(LEVEL, folder / "level", title.some("master.flac", "background", "speech"), settings=settings)
    title.files |= level
    common = title.some("gain.json", "chunks.json", "background")
    for track in ("orig", *TRACKS, "stems"):
        inputs = dict(common)
        if track == "orig":
            inputs |= title.some("master.flac")
        elif track == "stems":
            inputs |= title.some("vocals")
        else:
            inputs |= {f"speech/{name[-4:]}": path for name, path in title.some(f"speech/{track}").items()}
        outputs = run_stage(TRACK, folder / f"track-{track}", inputs, Scope(track=track))
        if track == "stems":
            title.files |= outputs
        else:
            title.files[f"tracks/{track}"] = outputs["track.flac"]
            if "speech.flac" in outputs:
                title.files[f"whole/{track}"] = outputs["speech.flac"]
    assert {length(title.files[f"tracks/{track}"])[0] for track in ("orig", *TRACKS)} == {int(SECONDS * SAMPLE_RATE)}
    return title


def facts_scope(name: str = "clip", source_language: str | None = "en") -> Scope:
    tracks = ["orig", *TRACKS]
    return Scope(extra={"title": name, "source_language": source_language, "tracks": tracks})


def pairs_inputs(title: Title) -> dict[str, Path]:
    names = ("shots.json", "level.json", "utterances.jsonl", "background.flac", "tracks", "dubbed", "activity")
    inputs = title.some(*names, "residual")
    return inputs | {f"speech/{name[6:]}": path for name, path in title.some("whole").items()}
