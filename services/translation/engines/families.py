"""The families of translation models: how each names languages and is told which one to speak."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from services.translation.codes import by_language
from services.translation.engines.seq2seq import Seq2SeqTranslator
from shared.engines.protocols import Licence


class M2M100Translator(Seq2SeqTranslator):
    """M2M100: 100 languages, any to any. The model is told the target by the first token it says."""

    name: ClassVar[str] = "m2m100"
    licence: ClassVar[Licence] = Licence("MIT")
    memory_mb: ClassVar[int] = 6000
    memory_by_model: ClassVar[Mapping[str, int]] = {"facebook/m2m100_418M": 3000}
    default: ClassVar[str] = "facebook/m2m100_1.2B"
    types: ClassVar[tuple[str, ...]] = ("m2m_100",)
    prompt: ClassVar[int] = 2

    def codes(self) -> tuple[dict[str, str], dict[str, str]]:
        codes = by_language(getattr(self._tokenizer, "lang_code_to_id", {}))
        return codes, codes

    def forced(self, target: str) -> dict[str, Any]:
        return {"forced_bos_token_id": self._tokenizer.get_lang_id(target)}


class NllbTranslator(Seq2SeqTranslator):
    """NLLB-200: 202 languages under FLORES codes (``spa_Latn``)."""

    name: ClassVar[str] = "nllb"
    licence: ClassVar[Licence] = Licence("CC-BY-NC-4.0", commercial_use=False, note="Not for commercial use.")
    memory_mb: ClassVar[int] = 4000
    memory_by_model: ClassVar[Mapping[str, int]] = {
        "facebook/nllb-200-distilled-1.3B": 5500,
        "facebook/nllb-200-1.3B": 5500,
        "facebook/nllb-200-3.3B": 10000,
    }
    default: ClassVar[str] = "facebook/nllb-200-distilled-600M"
    types: ClassVar[tuple[str, ...]] = ("m2m_100", "nllb-moe")
    prompt: ClassVar[int] = 2

    def codes(self) -> tuple[dict[str, str], dict[str, str]]:
        tokens = self._tokenizer.get_added_vocab()
        codes = by_language(token for token in tokens if re.fullmatch(r"[a-z]{3}_[A-Z][a-z]{3}", token))
        return codes, codes


class MarianTranslator(Seq2SeqTranslator):
    """OPUS-MT: a model a pair of languages; models with several targets are told by a word before the text."""

    name: ClassVar[str] = "marian"
    licence: ClassVar[Licence] = Licence("CC-BY-4.0", note="Of OPUS-MT models; some are Apache-2.0.")
    memory_mb: ClassVar[int] = 1500
    default: ClassVar[str] = "Helsinki-NLP/opus-mt-en-fr"
    types: ClassVar[tuple[str, ...]] = ("marian",)

    def codes(self) -> tuple[dict[str, str], dict[str, str]]:
        tokenizer = self._tokenizer
        marked = by_language(code.strip("<>") for code in tokenizer.supported_language_codes)
        source, target = tokenizer.source_lang, tokenizer.target_lang
        if not source or not target:
            source, target = pair_of(self._place)
        return by_language(re.split(r"[+ ]", source)), marked or by_language(re.split(r"[+ ]", target))

    def encode(self, texts: Sequence[str], source: str, target: str) -> Any:
        mark = f">>{target}<< " if f">>{target}<<" in self._tokenizer.supported_language_codes else ""
        texts = [mark + text for text in texts]
        return self._tokenizer(texts, return_tensors="pt", padding=True, truncation=True)

    def forced(self, target: str) -> dict[str, Any]:
        return {}


class MadladTranslator(Seq2SeqTranslator):
    """MADLAD-400: T5 with more than 400 languages, told by a token before the text (``<2es>``)."""

    name: ClassVar[str] = "madlad"
    licence: ClassVar[Licence] = Licence("Apache-2.0")
    memory_mb: ClassVar[int] = 10000
    memory_by_model: ClassVar[Mapping[str, int]] = {"google/madlad400-7b-mt": 22000, "google/madlad400-10b-mt": 28000}
    default: ClassVar[str] = "google/madlad400-3b-mt"
    half: ClassVar[str] = "bfloat16"  # T5's activations leave the range of float16
    types: ClassVar[tuple[str, ...]] = ("t5",)

    def codes(self) -> tuple[dict[str, str], dict[str, str]]:
        matches = (re.fullmatch(r"<2([a-z]{2,3}(?:_[A-Z][a-z]{3})?)>", token) for token in self._tokenizer.get_vocab())
        codes = by_language(match[1] for match in matches if match)
        return codes, codes

    def encode(self, texts: Sequence[str], source: str, target: str) -> Any:
        texts = [f"<2{target}> {text}" for text in texts]
        return self._tokenizer(texts, return_tensors="pt", padding=True, truncation=True)

    def forced(self, target: str) -> dict[str, Any]:
        return {}


class SeamlessTranslator(Seq2SeqTranslator):
    """SeamlessM4T, first half of its text-to-speech translation; the engine ``seamless`` of dubbing is the second.

    The text is what the model would have spoken, and can be seen, checked, edited and fitted before it is.
    """

    name: ClassVar[str] = "seamless"
    licence: ClassVar[Licence] = Licence("CC-BY-NC-4.0", commercial_use=False, note="Not for commercial use.")
    memory_mb: ClassVar[int] = 8000
    memory_by_model: ClassVar[Mapping[str, int]] = {"facebook/hf-seamless-m4t-medium": 5000}
    default: ClassVar[str] = "facebook/seamless-m4t-v2-large"
    types: ClassVar[tuple[str, ...]] = ("seamless_m4t", "seamless_m4t_v2")
    prompt: ClassVar[int] = 2

    def codes(self) -> tuple[dict[str, str], dict[str, str]]:
        generation = self._read(self._transformers.GenerationConfig)
        codes = by_language(getattr(generation, "text_decoder_lang_to_code_id", {}))
        return codes, codes

    def forced(self, target: str) -> dict[str, Any]:
        return {"tgt_lang": target}


def pair_of(name: str) -> tuple[str, str]:
    """Languages of ``…/opus-mt-en-fr``; empty where the name does not say."""
    match = re.search(r"opus-mt-(?:tc-\w+-)?([^-/]+)-([^-/]+)$", Path(name).as_posix())
    return (match[1], match[2]) if match else ("", "")
