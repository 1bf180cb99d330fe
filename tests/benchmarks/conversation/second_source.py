"""What asking again with the Portuguese shown is worth: chrF of rules of choice over one set of answers.

``python -m tests.benchmarks.conversation.second_source FOLDER tuning es`` reads the sentences that
``sentence_selection.py`` wrote to FOLDER, asks the model for every sentence with and without its Portuguese, and prints
chrF (and how many sentences are asked twice) where a sentence is asked again below each agreement.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from services.translation.engines.llama import LlamaTranslator
from services.translation.engines.multisource import AGREEMENT_WEIGHT, UNSURE, MultiSourceTranslator, agreement
from services.translation.ranking import WORD_COST
from services.translation.sentences import sentences
from services.translation.vocabulary import strange_words
from shared.core.records import Hypothesis
from shared.engines.protocols import EngineOptions, Line
from tests.conftest import CheckedWeights
from tests.unit.services.translation.chrf import chrf, closest

UNLIKE = (0.0, 0.5, 0.55, 0.6, 0.65, 0.7)


class Asked(NamedTuple):
    """A sentence, its Portuguese, and what the model answers without it and with it."""

    english: str
    pivot: str
    alone: Hypothesis
    shown: Hypothesis


def ask_all(engine: MultiSourceTranslator, text: str, target: str) -> list[Asked]:
    asked = []
    parts = sentences(text)
    for part, pivot in zip(parts, engine._in_pivot(parts, "en", "pt"), strict=True):
        ((alone, *_),) = LlamaTranslator._versions(engine, [Line(part)], "en", target)
        shown = engine._ask(Line(part), "en", target, {"pt": pivot}, temperature=0)[0]
        asked.append(Asked(part, pivot, alone, shown))
    return asked


def better(asked: Asked, target: str, weight: float) -> Hypothesis:
    def worth(version: Hypothesis) -> float:
        strange = strange_words(asked.english, version.text, "en", target)
        return version.score + weight * agreement(version.text, asked.pivot) - WORD_COST * len(strange)

    return max((asked.alone, asked.shown), key=worth)


def main(folder: Path, part: str, target: str) -> None:
    engine = MultiSourceTranslator(EngineOptions(threads=2), CheckedWeights())
    rows = [json.loads(row) for row in (folder / f"{part}.{target}.jsonl").read_text(encoding="utf-8").splitlines()]
    answers = [ask_all(engine, row["en"], target) for row in rows]

    def measure(choose: Callable[[Asked], Hypothesis]) -> float:
        said = [" ".join(choose(asked).text for asked in line) for line in answers]
        return chrf(said, [closest(text, row["references"]) for text, row in zip(said, rows, strict=True)])

    print(f"{target}, {len(rows)} {part} lines: alone {measure(lambda asked: asked.alone):.1f}, ", end="")
    print(f"Portuguese shown for all {measure(lambda asked: asked.shown):.1f}")
    for unlike in UNLIKE:

        def again(asked: Asked, unlike: float = unlike) -> bool:
            return asked.alone.score < UNSURE or agreement(asked.alone.text, asked.pivot) < unlike

        def choose(asked: Asked, again: Any = again, unlike: float = unlike) -> Hypothesis:
            weight = AGREEMENT_WEIGHT if unlike else 0.0
            return better(asked, target, weight) if again(asked) else asked.alone

        twice = [again(asked) for line in answers for asked in line]
        print(f"  unsure, or agreement below {unlike}: {measure(choose):.1f}, {sum(twice)} of {len(twice)} asked twice")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], sys.argv[3])
