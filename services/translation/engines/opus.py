"""OPUS-MT through CTranslate2: one small model a pair of languages, fast and steady."""

from __future__ import annotations

import json
import tempfile
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

from services.translation.engines.marian import convert
from services.translation.engines.unknown_characters import KnownText
from services.translation.sentences import combine, sentences
from shared.core.records import Hypothesis
from shared.engines.accelerator import CUBLAS, find_cublas, within_memory
from shared.engines.protocols import EngineOptions, Licence, Line, WeightFiles

PREFIX = "opus-mt-"
WEIGHTS = "opus-mt-en-fr"
BEAM = 6
BATCH = 16


class OpusTranslator:
    """See :class:`shared.engines.protocols.Translator`. ``seed`` and the neighbouring lines change nothing.

    The model is one of the registry's ``opus-mt-SOURCE-TARGET``. It is converted in a few seconds when the first line
    is asked for. A line is translated sentence by sentence, because the models drop sentences.
    """

    name: ClassVar[str] = "opus"
    packages: ClassVar[tuple[str, ...]] = ("ctranslate2", "sentencepiece")
    card_packages: ClassVar[tuple[str, ...]] = CUBLAS
    licence: ClassVar[Licence] = Licence("Apache-2.0")

    def __init__(self, options: EngineOptions, weights: WeightFiles) -> None:
        import ctranslate2
        import sentencepiece

        self._runtime = ctranslate2
        (name,) = self.weights(options)
        self._pair = pair(name)
        self._folder = weights.path(name)
        self._options = options
        self._model: Any = None
        self._lock = threading.Lock()
        self._source = sentencepiece.SentencePieceProcessor(model_file=str(self._folder / "source.spm"))
        vocabulary = set(json.loads((self._folder / "vocab.json").read_text(encoding="utf-8")))
        self._known_text = KnownText(lambda text: vocabulary.issuperset(self._source.encode(text, out_type=str)))
        self._target = sentencepiece.SentencePieceProcessor(model_file=str(self._folder / "target.spm"))

    @classmethod
    def weights(cls, options: EngineOptions) -> tuple[str, ...]:
        return (options.model or WEIGHTS,)

    def languages(self) -> set[tuple[str, str]] | None:
        return {self._pair}

    def together(self, source: str, target: str) -> int:
        """Lines best given in one call."""
        return BATCH

    def translate(
        self, lines: Sequence[Line], source: str, target: str, count: int, seed: int = 0
    ) -> list[list[Hypothesis]]:
        parts = [sentences(self._known_text(line.text)) for line in lines]
        answers = iter(self._sentences([part for line in parts for part in line], count))
        return [combine([next(answers) for _ in line], count, target) for line in parts]

    def _sentences(self, texts: Sequence[str], count: int) -> list[list[tuple[str, float, int]]]:
        """Text, mean log-probability and number of tokens of ``count`` candidates for each sentence."""
        with within_memory():
            results = self._loaded().translate_batch(
                [[*self._source.encode(text, out_type=str), "</s>"] for text in texts],
                beam_size=max(BEAM, count),
                num_hypotheses=count,
                return_scores=True,
                disable_unk=True,
            )
        return [
            [
                (self._target.decode(pieces).strip(), score, len(pieces) + 1)
                for pieces, score in zip(result.hypotheses, result.scores, strict=True)
            ]
            for result in results
        ]

    def _loaded(self) -> Any:
        with self._lock:
            if self._model is None:
                with tempfile.TemporaryDirectory(prefix="counterdub-") as scratch:
                    convert(self._folder, Path(scratch))
                    kind, _, index = self._options.device.partition(":")
                    if kind != "cpu":
                        find_cublas()
                    self._model = self._runtime.Translator(
                        scratch,
                        device=kind,
                        device_index=int(index or 0),
                        compute_type="int8",
                        intra_threads=self._options.threads,
                    )
            return self._model


def pair(name: str) -> tuple[str, str]:
    """Languages of ``opus-mt-en-fr``."""
    source, _, target = name.removeprefix(PREFIX).partition("-")
    return source, target
