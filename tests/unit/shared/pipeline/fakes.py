"""Stages that only write down what they were given: for testing the planner and executors at no cost."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from shared.pipeline.stage import Scope, Stage, Work
from shared.settings.models import Settings

SECTIONS = {
    "ingest": "ingest",
    "separation": "separation",
    "stems": "separation",
    "language": "transcription",
    "transcription": "transcription",
    "speakers": "transcription",
    "translation": "translation",
    "cast": "dubbing",
    "references": "dubbing",
    "dubbing": "dubbing",
    "control": "dubbing",
    "quality": "quality",
    "residual": "quality",
}
OUTPUTS = {
    "separation": ["vocals.flac"],
    "stems": ["vocals.flac", "background.flac", "speech.json"],
    "transcription": ["utterances.jsonl", "embeddings.npz"],
    "speakers": ["utterances.jsonl", "speakers.json"],
    "translation": ["translations.jsonl"],
    "cast": ["cast.json"],
    "references": ["references.npz"],
    "dubbing": ["speech.flac", "dubbed.jsonl"],
    "control": ["speech.flac", "dubbed.jsonl"],
    "quality": ["dubbed.jsonl", "activity.json"],
    "residual": ["residual.jsonl"],
    "level": ["level.json", "gain.json"],
    "track": ["track.flac", "speech.flac", "background.flac", "vocals.flac"],
    "pictures": ["0001.mp4"],
    "shots": ["0001.mp4"],
    "export": ["title.mkv", "title.mp4"],
    "preview": ["preview.json"],
    "pairs": ["pairs.jsonl", "rejects.jsonl", "quality.json"],
}

Hook = Callable[[str, Scope, Mapping[str, Path]], None]


class FakeStages:
    """``stage(name)`` for fakes; counts calls and lets a hook fail them."""

    def __init__(self, chunks: int = 2, hook: Hook = lambda name, scope, inputs: None) -> None:
        self.calls: list[tuple[str, str | None, int | None]] = []
        self.chunks = chunks
        self.hook = hook

    def __call__(self, name: str) -> Stage:
        section = SECTIONS.get(name, "pairing")

        def run(
            scope: Scope, inputs: Mapping[str, Path], settings: BaseModel, engines: Mapping[str, Any], work: Work
        ) -> dict[str, Path]:
            self.calls.append((name, scope.language or scope.track, scope.chunk))
            self.hook(name, scope, inputs)
            work.progress(0.5)
            return {output: self.write(work, output, body) for output, body in self.bodies(name, scope, inputs).items()}

        return Stage(
            name=name,
            version=1,
            run=run,
            settings=lambda settings: getattr(settings, section),
            engines=lambda settings, scope: {},
            queue=name,
        )

    def bodies(self, name: str, scope: Scope, inputs: Mapping[str, Path]) -> dict[str, Any]:
        seen: dict[str, Any] = {"stage": name, "scope": [scope.language, scope.chunk, scope.track, dict(scope.extra)]}
        seen["inputs"] = {key: path.read_text() for key, path in inputs.items()}
        if name == "ingest":
            shots = [
                {"index": 0, "start": 0.0, "end": 2.0},
                {"index": 1, "start": 2.0, "end": 8.0},
            ]
            chunks = [{"index": i, "start": i * 48_000, "end": (i + 1) * 48_000} for i in range(self.chunks)]
            files: dict[str, Any] = {"chunks.json": chunks, "shots.json": shots}
            source = inputs["source"].read_text()
            probe = {"sha256": hashlib.sha256(source.encode()).hexdigest()}
            return files | dict.fromkeys(["master.flac", "speech.json"], source) | {"probe.json": probe}
        if name == "language":
            return {"language.json": {"language": "en", "confidence": 1.0, "votes": {}}}
        if name == "level":
            return {output: {"gain_db": 0.0} for output in OUTPUTS[name]}
        text = json.dumps(seen, sort_keys=True)
        digest = hashlib.sha256(text.encode()).hexdigest()
        told = {"quality.json": {"tracks": {}, "seen": digest}} if name == "pairs" else {}
        return dict.fromkeys(OUTPUTS[name], digest) | told

    def write(self, work: Work, name: str, body: Any) -> Path:
        path = work.path(name)
        path.write_text(json.dumps(body))
        return path


def settings(**sections: Any) -> Settings:
    return Settings.model_validate(sections)
