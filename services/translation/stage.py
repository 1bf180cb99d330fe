"""TRANSLATION: every line of a chunk in one language, several candidates each, about as long as it was spoken."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from services.translation.ahead import Ahead
from services.translation.alignment.given_lines import GivenLine
from services.translation.budget import budget, slots
from services.translation.engines.embedded import EmbeddedTranslator
from services.translation.fragments import divide, join_fragments, joined_text
from services.translation.line import LineTask, translate_line
from shared.core import languages
from shared.core.edits import LineEdit, read_edits, resolve
from shared.core.errors import EngineError, UsageError
from shared.core.records import (
    GIVEN,
    SAMPLE_RATE,
    Hypothesis,
    Note,
    Translation,
    Utterance,
    read_chunk,
    read_json,
    read_jsonl,
    write_jsonl,
    write_notes,
)
from shared.core.text import alphanumerics
from shared.engines.protocols import EngineOptions, Translator
from shared.pipeline.stage import EngineUse, Scope, Stage, Work
from shared.settings.models import Settings, TranslationSettings

PAIR = "translator:"
"""Before a source language: the role of the engine for lines in it."""
LISTED = 20
"""Pairs of languages named in a message."""


def run(
    scope: Scope, inputs: Mapping[str, Path], settings: TranslationSettings, engines: Mapping[str, Any], work: Work
) -> dict[str, Path]:
    """``utterances.jsonl``, ``chunks.json``, ``language.json``, ``given.jsonl`` if any → ``translations.jsonl``.

    One :class:`~shared.core.records.Translation` for every usable utterance that starts in the chunk, in order. A line
    that cannot be translated is listed as failed, with the reason; it never stops the others.

    Raises:
        UsageError: ``unsupported_pair`` when the engine cannot do the two languages.
        EngineError: The model cannot be used at all, or failed on every line.
    """
    assert scope.language is not None
    target = scope.language
    source = read_json(inputs["language.json"])["language"]
    spoken = [line for line in read_jsonl(inputs["utterances.jsonl"], Utterance) if line.status == "ok"]
    spoken.sort(key=lambda line: line.start)
    chunk = read_chunk(inputs["chunks.json"], scope.chunk)
    mine = [place for place, line in enumerate(spoken) if chunk.start <= round(line.start * SAMPLE_RATE) < chunk.end]
    edits, lost = resolve(read_edits(scope.extra.get("edits", {})), spoken)
    given = given_texts(inputs)
    seconds = slots(spoken)
    places = {line.id: place for place, line in enumerate(spoken)}

    def from_engine(line: Utterance) -> bool:
        return line.id not in given and source not in (None, target)

    def to_translate(line: Utterance) -> bool:
        return from_engine(line) and line.id not in edits

    def task(parts: Sequence[Utterance]) -> LineTask:
        """For one line, or for several that are parts of one sentence."""
        assert source is not None
        first, last = places[parts[0].id], places[parts[-1].id]
        text = joined_text([part.text for part in parts], source)
        length, slot = sum(part.end - part.start for part in parts), sum(seconds[part.id] for part in parts)
        return LineTask(
            text=text,
            before=tuple(other.text for other in spoken[max(0, first - settings.context_lines) : first]),
            after=tuple(other.text for other in spoken[last + 1 : last + 1 + settings.context_lines]),
            source=source,
            target=target,
            room=budget(text, length, slot, source, target),
        )

    # An edited line stays a part of its sentence: the other parts must not change with it.
    groups = join_fragments([spoken[place] for place in mine], from_engine)
    tasks = {parts[0].id: task(parts) for parts in groups if any(map(to_translate, parts))}
    if tasks:
        assert source is not None
        engine = engines.get(f"{PAIR}{source}", engines["translator"])
        supported(engine, source, target)
        questions = [item.question(settings.glossary) for item in tasks.values() if alphanumerics(item.text)]
        ahead = Ahead(engine, questions, source, target, settings.seed)

    done: list[Translation] = []
    for parts in groups:
        work.progress(len(done) / len(mine))
        if len(parts) > 1 and parts[0].id in tasks:
            answer = cached_line(tasks[parts[0].id], settings, ahead, work)
            pieces = divided(answer, parts, target, ahead.name)
            if pieces:
                work.count("lines_joined", len(parts))
                both = zip(parts, pieces, strict=True)
                done += [piece if to_translate(line) else as_written(line, edits, given) for line, piece in both]
                continue
        for line in parts:
            if to_translate(line):
                answer = cached_line(task([line]), settings, ahead, work)
                name = ahead.name if alphanumerics(line.text) else None
                done.append(answer.model_copy(update={"utterance": line.id, "engine": name}))
            else:
                done.append(as_written(line, edits, given))
    failed = [answer for answer in done if answer.status == "failed"]
    if failed and len(failed) == len(done) and all(answer.reason == "engine_failed" for answer in failed):
        raise EngineError(
            "The translator failed on every line; the log (--verbose) says why.", code="engine_failed", lines=len(done)
        )
    work.count("lines_failed", len(failed))
    path = write_jsonl(work.path("translations.jsonl"), done)
    work.progress(1.0)
    return {"translations.jsonl": path, "notes.json": write_notes(work.path("notes.json"), map(given_up, lost))}


def given_texts(inputs: Mapping[str, Path]) -> dict[str, str]:
    """Line's id → its text by the translation that was given, if one was."""
    if "given.jsonl" not in inputs:
        return {}
    return {line.utterance: line.text for line in read_jsonl(inputs["given.jsonl"], GivenLine)}


def divided(answer: Translation, parts: Sequence[Utterance], target: str, engine: str) -> list[Translation]:
    """A sentence's best translation that can be divided, by its parts; empty where there is none.

    One candidate a line: pieces of different candidates would not make a sentence.
    """
    for candidate in answer.hypotheses:
        pieces = divide(candidate.text, [part.text for part in parts], target)
        if pieces:
            return [
                Translation(
                    utterance=part.id, hypotheses=[Hypothesis(text=piece, score=candidate.score)], engine=engine
                )
                for part, piece in zip(parts, pieces, strict=True)
            ]
    return []


def given_up(edit: LineEdit) -> Note:
    """What is told of an edit whose line is not there any more."""
    at = f" at {edit.start:.1f} s" if edit.start is not None else ""
    line = f"“{edit.source}”{at}" if edit.source else edit.utterance
    return Note(kind="edit_given_up", message=f"The edit “{edit.text}” was given up: no line says {line} any more.")


class NotKept(Exception):
    """An answer that says more about the machine than about the line: the next run asks again."""

    def __init__(self, answer: Translation) -> None:
        super().__init__(answer.reason)
        self.answer = answer


def as_written(line: Utterance, edits: Mapping[str, LineEdit], given: Mapping[str, str]) -> Translation:
    """What somebody wrote for a line: an edit before a given translation before the source itself."""
    if line.id in edits:
        return certain(line, edits[line.id].text, edited=True)
    if line.id in given:
        return certain(line, given[line.id]).model_copy(update={"engine": GIVEN})
    return certain(line, line.text)


def certain(line: Utterance, text: str, edited: bool = False) -> Translation:
    return Translation(utterance=line.id, hypotheses=[Hypothesis(text=text, score=0.0)], edited=edited)


def cached_line(task: LineTask, settings: TranslationSettings, engine: Ahead, work: Work) -> Translation:
    """The line's translation, made once for the same text, neighbours, room and settings."""
    key = {
        **task._asdict(),
        "room": task.room._asdict(),
        "hypotheses": settings.hypotheses,
        "tolerance": settings.length_tolerance,
        "glossary": settings.glossary,
        "seed": settings.seed,
    }
    counts: dict[str, int] = {}

    def make(path: Path) -> None:
        answer = translate_line(task, settings, engine, counts)
        if answer.reason == "engine_failed":
            raise NotKept(answer)
        write_jsonl(path, [answer])

    try:
        return read_jsonl(work.cached(key, ".jsonl", make), Translation)[0]
    except NotKept as failure:
        return failure.answer
    finally:
        for name, amount in counts.items():
            work.count(name, amount)


def supported(engine: Translator, source: str, target: str) -> None:
    pairs = engine.languages()
    if pairs is None or (source, target) in pairs:
        return
    listed = sorted(f"{first}→{second}" for first, second in pairs)
    into = ", ".join(listed[:LISTED]) + (f" and {len(listed) - LISTED} more" if len(listed) > LISTED else "")
    raise UsageError(
        f"The translation engine cannot do {languages.name(source)} to {languages.name(target)} (it does {into}). "
        f"Name another with --set translation.by_language.{target}=ENGINE.",
        code="unsupported_pair",
        source=source,
        target=target,
    )


def translator(settings: Settings, scope: Scope) -> dict[str, EngineUse]:
    """The engine for a language; where an engine stands for several, one more for each source that has its own."""
    section = settings.translation
    name = section.by_language.get(scope.language or "", section.engine)
    options = EngineOptions(
        section.model, section.device, section.threads, section.seed, dict(getattr(section, "extra", {}))
    )
    if name != EmbeddedTranslator.name:
        return {"translator": EngineUse("translator", name, options)}
    parts = EmbeddedTranslator.parts(scope.language)
    roles = {PAIR + source if source else "translator": part for source, part in parts.items()}
    return {role: EngineUse("translator", part, options) for role, part in roles.items()}


STAGE = Stage("translation", 7, run, lambda settings: settings.translation, translator, "translation")
