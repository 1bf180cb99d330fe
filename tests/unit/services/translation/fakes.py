"""A translator that answers what it is told to, and a Work that keeps its parts in a folder."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from services.translation.alignment.given_lines import GivenLine
from services.translation.stage import run
from shared.core.records import Chunk, Hypothesis, Translation, Utterance, read_jsonl, write_jsonl
from shared.engines.protocols import Line
from shared.pipeline.stage import Scope
from shared.settings.models import TranslationSettings

SPANISH = {
    "Good evening, Tom.": "Buenas noches, Tom.",
    "I have to find the old key.": "Tengo que encontrar la llave vieja.",
    "Wait for me here, please.": "Espérame aquí, por favor.",
}


class FakeTranslator:
    """``answers``: text → translation, list of translations, exception, or function of the line and the seed."""

    name = "fake"

    def __init__(self, answers: Mapping[str, Any] = SPANISH, pairs: set[tuple[str, str]] | None = None) -> None:
        self.answers, self.pairs = answers, pairs
        self.asked: list[tuple[Line, int]] = []

    def languages(self) -> set[tuple[str, str]] | None:
        return self.pairs

    def translate(
        self, lines: Sequence[Line], source: str, target: str, count: int, seed: int = 0
    ) -> list[list[Hypothesis]]:
        return [found for line in lines if (found := self._one(line, seed)) is not None]

    def _one(self, line: Line, seed: int) -> list[Hypothesis] | None:
        self.asked.append((line, seed))
        answer = self.answers[line.text]
        answer = answer(line, seed) if callable(answer) else answer
        if isinstance(answer, Exception):
            raise answer
        if answer is None:
            return None
        texts = [answer] if isinstance(answer, str) else answer
        return [Hypothesis(text=text, score=-0.1 * place) for place, text in enumerate(texts)]


class FakeWork:
    def __init__(self, folder: Path) -> None:
        self.folder, self.made = folder, 0
        self.counters: dict[str, float] = {}
        self.shares: list[float] = []

    def path(self, name: str) -> Path:
        return self.folder / name

    def progress(self, share: float) -> None:
        self.shares.append(share)

    def count(self, name: str, amount: float = 1) -> None:
        self.counters[name] = self.counters.get(name, 0) + amount

    def cached(self, key: Mapping[str, Any], suffix: str, make: Callable[[Path], None]) -> Path:
        path = self.folder / (hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest() + suffix)
        if not path.exists():
            self.made += 1
            make(path)
        return path


def utterances(texts: Iterable[str], seconds: float = 2.0, every: float = 3.0) -> list[Utterance]:
    return [
        Utterance(id=f"u{n:04}", start=n * every, end=n * every + seconds, language="en", text=text)
        for n, text in enumerate(texts, 1)
    ]


def translate(
    folder: Path,
    lines: Sequence[Utterance],
    engine: Any,
    source: str = "en",
    language: str = "es",
    chunks: Sequence[tuple[float, float]] = ((0, 60),),
    chunk: int = 0,
    edits: Mapping[str, Any] | None = None,
    given: Mapping[str, str] | None = None,
    **settings: Any,
) -> tuple[list[Translation], FakeWork]:
    """Run the stage; its translations and the work it was given."""
    folder.mkdir(exist_ok=True)
    inputs = {name: folder / name for name in ("utterances.jsonl", "chunks.json", "language.json")}
    write_jsonl(inputs["utterances.jsonl"], lines)
    rows = [Chunk(index=n, start=a * 48_000, end=b * 48_000).model_dump() for n, (a, b) in enumerate(chunks)]
    inputs["chunks.json"].write_text(json.dumps(rows))
    inputs["language.json"].write_text(json.dumps({"language": source}))
    if given is not None:
        inputs["given.jsonl"] = folder / "given.jsonl"
        write_jsonl(inputs["given.jsonl"], [GivenLine(utterance=key, text=text) for key, text in given.items()])
    scope = Scope(language=language, chunk=chunk, extra={"edits": edits} if edits else {})
    work = FakeWork(folder)
    out = run(scope, inputs, TranslationSettings(**settings), {"translator": engine}, work)
    return read_jsonl(out["translations.jsonl"], Translation), work
