"""One line: ask, check, ask again where nothing is usable or words are strange, shorten, rank."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import NamedTuple

from services.translation.ahead import LINE_FAILED, Ahead
from services.translation.budget import Budget
from services.translation.checks import fault
from services.translation.ranking import rank, used, with_glossary
from services.translation.vocabulary import strange_words
from shared.core.errors import CounterdubError
from shared.core.records import Hypothesis, Translation
from shared.core.text import alphanumerics, in_sentence_case, spoken_characters
from shared.engines.protocols import Line, Translator, missing
from shared.settings.models import TranslationSettings

log = logging.getLogger(__name__)

REWRITE_SHARE = 0.75
"""A shorter version is asked for at this share of the shortest candidate, or at the room there is if that is less."""


class LineTask(NamedTuple):
    """All that a line's translation depends on, but for the settings and the engine."""

    text: str
    before: tuple[str, ...]
    after: tuple[str, ...]
    source: str
    target: str
    room: Budget

    def question(self, glossary: Mapping[str, str]) -> Line:
        """What is asked first; a line in capitals alone is asked in normal case."""
        terms = tuple(used(glossary, self.text).items())
        text = in_sentence_case(self.text, self.source, " ".join((*self.before, *self.after)))
        return Line(text, self.before, self.after, self.room.aim, terms)


def translate_line(
    task: LineTask, settings: TranslationSettings, engine: Translator | Ahead, counts: dict[str, int]
) -> Translation:
    """Candidates that pass every check, best first; failed with a reason when there is none.

    The first question carries the neighbouring lines. When nothing usable comes back, or nothing without words that
    are not the language's, the line is asked for once more, alone and with another seed. When all candidates are
    longer than can be spoken, a shorter version is asked for once. ``counts`` receives what happened (retries,
    rewrites, strange words, refusals by reason).
    """
    if alphanumerics(task.text) == 0:
        # “…”: nothing to translate, and models invent whole sentences from it.
        return done([Hypothesis(text=task.text, score=0.0)])
    first = task.question(settings.glossary)
    terms = dict(first.terms)
    reasons: list[str] = []

    def ask(line: Line, seed: int) -> list[Hypothesis]:
        try:
            answers = engine.translate([line], task.source, task.target, settings.hypotheses, seed)
        except CounterdubError as error:
            if error.code != LINE_FAILED:
                raise
            answers = refused("engine_failed", [])
        except ImportError as error:
            raise missing("translator", engine.name, error) from error
        except Exception:
            log.exception("the translator failed on a line")
            answers = refused("engine_failed", [])
        else:
            if len(answers) != 1:
                answers = refused("engine_miscounted", [])
        good = []
        for candidate in (candidate for answer in answers for candidate in answer):
            text = with_glossary(" ".join(candidate.text.split()), terms)
            reason = fault(first.text, text, task.source, task.target, task.room)
            if reason is None:
                good.append(Hypothesis(text=text, score=candidate.score))
            else:
                refused(reason, [])
        return good

    def refused(reason: str, answers: list[list[Hypothesis]]) -> list[list[Hypothesis]]:
        reasons.append(reason)
        counts[f"refused_{reason}"] = counts.get(f"refused_{reason}", 0) + 1
        return answers

    def strange(text: str) -> int:
        known = " ".join((first.text, *terms.values()))
        return len(strange_words(known, text, task.source, task.target))

    candidates = ask(first, settings.seed)
    if not candidates or all(strange(candidate.text) for candidate in candidates):
        reason = "strange_words" if candidates else "retries"
        counts[reason] = counts.get(reason, 0) + 1
        candidates += ask(first._replace(before=(), after=()), settings.seed + 1)
    if not candidates:
        return Translation(utterance="", hypotheses=[], status="failed", reason=reasons[0] if reasons else "empty")
    shortest = min(spoken_characters(candidate.text) for candidate in candidates)
    if shortest > task.room.limit:
        counts["rewrites"] = counts.get("rewrites", 0) + 1
        size = round(min(task.room.limit, REWRITE_SHARE * shortest))
        candidates += ask(first._replace(max_chars=size), settings.seed + 2)
    return done(
        rank(candidates, task.room, settings.length_tolerance, terms.values(), strange)[: max(settings.hypotheses, 1)]
    )


def done(hypotheses: list[Hypothesis]) -> Translation:
    return Translation(utterance="", hypotheses=hypotheses)
