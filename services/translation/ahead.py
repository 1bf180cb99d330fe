"""The first question of many lines asked in one call, for engines that do more at once in less time."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from shared.core.errors import CounterdubError
from shared.core.records import Hypothesis
from shared.engines.protocols import Line, Translator

log = logging.getLogger(__name__)

LINE_FAILED = "line_failed"
"""Code of an EngineError that is this one line's bad luck. Any other CounterdubError concerns them all."""


class Ahead:
    """A translator that answers the lines it was told of from one call for several of them.

    Args:
        lines: What will be asked with the engine's first seed, in order. A line that was answered already (an edited
            one, one of an earlier run) is not among them.
    """

    def __init__(self, engine: Translator, lines: Sequence[Line], source: str, target: str, seed: int) -> None:
        together = getattr(engine, "together", None)
        self.name = engine.name
        self._engine, self._seed = engine, seed
        self._size = max(1, together(source, target)) if together else 1
        self._waiting = dict.fromkeys(lines) if self._size > 1 else {}
        self._answers: dict[Line, list[Hypothesis]] = {}

    def translate(
        self, lines: Sequence[Line], source: str, target: str, count: int, seed: int = 0
    ) -> list[list[Hypothesis]]:
        """As :meth:`shared.engines.protocols.Translator.translate`, of one line."""
        (line,) = lines
        if seed != self._seed or (line not in self._waiting and line not in self._answers):
            return self._engine.translate(lines, source, target, count, seed)
        if line not in self._answers:
            self._ask(line, source, target, count)
        if line not in self._answers:
            return self._engine.translate(lines, source, target, count, seed)
        return [self._answers[line]]

    def _ask(self, first: Line, source: str, target: str, count: int) -> None:
        """Answers for ``first`` and those waiting behind it; none when the call fails, so that each is asked alone."""
        waiting = list(self._waiting)
        place = waiting.index(first)
        chosen = waiting[place : place + self._size]
        for line in chosen:
            del self._waiting[line]
        try:
            answers = self._engine.translate(chosen, source, target, count, self._seed)
        except CounterdubError as error:
            if error.code != LINE_FAILED:
                raise
            return
        except ImportError:
            raise
        except Exception:
            log.exception("the translator failed on %d lines together: each is asked alone", len(chosen))
            return
        if len(answers) == len(chosen):
            self._answers.update(zip(chosen, answers, strict=True))
