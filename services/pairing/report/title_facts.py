"""What is known of a title when the report is made. Files are opened when asked for, one title after another."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from services.pairing.acceptance.merged_tables import failed_row, read_rows
from shared.core.languages import name as language_name
from shared.core.records import CastMember, DubbedUtterance, Utterance, read_jsonl
from shared.pipeline.planner import task_language
from shared.schemas.layout import CONTROL, ORIG, clip_suffix, track_language
from shared.schemas.pairs import PairRow
from shared.schemas.quality import QualityReport


@dataclass(frozen=True)
class TitleFiles:
    """One title of the run. Any file may be missing; of a failed title none is read, as it may be an earlier run's."""

    name: str
    inputs: Mapping[str, Path]
    error: Mapping[str, Any] | None = None

    def path(self, name: str) -> Path | None:
        file = self.inputs.get(f"{self.name}/{name}")
        return file if file is not None and file.is_file() else None

    def json(self, name: str) -> Any:
        path = self.path(name)
        return None if path is None else json.loads(path.read_text(encoding="utf-8"))

    @cached_property
    def record(self) -> dict[str, Any]:
        """``title.json``; empty when there is none."""
        return self.json("title.json") or {}

    @cached_property
    def quality(self) -> QualityReport | None:
        path = None if self.error else self.path("quality.json")
        return None if path is None else QualityReport.model_validate_json(path.read_text(encoding="utf-8"))

    def release(self) -> None:
        """Forget what was read, so that a run of many titles stays small."""
        for name in ("record", "quality"):
            self.__dict__.pop(name, None)

    @property
    def source_language(self) -> str | None:
        recorded = self.record.get("source_language")
        language = recorded.get("language") if isinstance(recorded, dict) else recorded
        return language or (self.quality.source_language if self.quality else None)

    @property
    def tracks(self) -> list[str]:
        if self.error:
            return []
        return list(self.quality.tracks) if self.quality else list(self.record.get("tracks") or [])

    def language(self, track: str) -> str | None:
        return track_language(track, self.source_language)

    def rows(self, name: str) -> Iterator[PairRow]:
        """Rows of ``pairs.jsonl`` or ``rejects.jsonl``."""
        path = None if self.error else self.path(name)
        return read_rows([path] if path else [])

    def failures(self) -> list[PairRow]:
        """Rows that stand for the title, or for its languages, that failed."""
        if self.error:
            return [failed_row(self.name, self.error)]
        first: dict[str, Mapping[str, Any]] = {}
        for task, error in (self.record.get("failed") or {}).items():
            language = task_language(task)
            if language:
                first.setdefault(language, error)
        return [failed_row(self.name, error, language) for language, error in first.items()]

    def source(self) -> list[Utterance]:
        path = None if self.error else self.path(f"utterances/{self.source_language}.jsonl")
        return read_jsonl(path, Utterance) if path else []

    def spoken(self, track: str) -> list[DubbedUtterance]:
        """The lines of a synthetic track."""
        if track == ORIG:
            return []
        path = self.path(f"utterances/{clip_suffix(track, self.source_language)}.jsonl")
        return read_jsonl(path, DubbedUtterance) if path else []

    def native(self, language: str) -> dict[str, bool]:
        """Voice → whether it was trained on the language, for all voices cast in it so far."""
        cast = self.json(f"cast.{language}.json") or []
        members = cast.get("members", []) if isinstance(cast, dict) else cast
        known = [CastMember.model_validate({k: v for k, v in m.items() if k != "schema_version"}) for m in members]
        return {member.voice: member.native for member in known}

    def preview(self, track: str) -> dict[int, Any]:
        """Shot → its spectrogram, sound and peaks."""
        manifest = self.json(f"preview.{track}.json") or {}
        return {int(shot): media for shot, media in (manifest.get("shots") or {}).items()}


def read_titles(inputs: Mapping[str, Path], names: list[str], failed: Mapping[str, Any]) -> list[TitleFiles]:
    return [TitleFiles(name, inputs, failed.get(name)) for name in names]


def track_name(track: str, language: str | None) -> str:
    """What people call a track: ``Original (English)``, ``Control (English)``, ``Spanish``."""
    spoken = language_name(language) if language else None
    if track in {ORIG, CONTROL}:
        kind = "Original" if track == ORIG else "Control"
        return f"{kind} ({spoken})" if spoken else kind
    return spoken or track
