"""MMS (Pratap et al. 2023): VITS voices of 1,100 languages, one model and one voice each, through transformers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from services.dubbing.engines.resident import hub_folder, loading, needing
from services.dubbing.engines.vits import Network, VitsSynthesizer, padded
from shared.core.errors import EngineError
from shared.engines.protocols import Audio, EngineOptions, Licence, SpeechRequest, Voice, WeightFiles
from shared.weights.local import absent, local_digests

HUB = "facebook/mms-tts-{code}"
"""Where the models of all languages are, by the codes that MMS has for them."""

MODELS = {
    "ak": "aka", "am": "amh", "ar": "ara", "as": "asm", "av": "ava", "az": "azj-script_latin", "ba": "bak",
    "bg": "bul", "bi": "bis", "bm": "bam", "bn": "ben", "bo": "bod", "ca": "cat", "ce": "che", "cv": "chv",
    "cy": "cym", "de": "deu", "dv": "div", "dz": "dzo", "ee": "ewe", "el": "ell", "en": "eng", "es": "spa",
    "eu": "eus", "fa": "fas", "ff": "ful", "fi": "fin", "fj": "fij", "fo": "fao", "fr": "fra", "gn": "grn",
    "gu": "guj", "ha": "hau", "he": "heb", "hi": "hin", "ht": "hat", "hu": "hun", "id": "ind", "is": "isl",
    "jv": "jav", "ki": "kik", "kk": "kaz", "km": "khm", "kn": "kan", "ko": "kor", "ku": "kmr-script_latin",
    "kv": "kpv", "ky": "kir", "la": "lat", "lg": "lug", "lo": "lao", "lv": "lav", "mg": "mlg", "mh": "mah",
    "ml": "mal", "mn": "mon", "mr": "mar", "ms": "zlm", "my": "mya", "nl": "nld", "ny": "nya", "om": "orm",
    "or": "ory", "os": "oss", "pa": "pan", "pl": "pol", "pt": "por", "rn": "run", "ro": "ron", "ru": "rus",
    "rw": "kin", "sg": "sag", "sm": "smo", "sn": "sna", "so": "som", "sq": "sqi", "su": "sun", "sv": "swe",
    "sw": "swh", "ta": "tam", "te": "tel", "tg": "tgk", "th": "tha", "ti": "tir", "tk": "tuk-script_latin",
    "tl": "tgl", "tr": "tur", "ts": "tso", "tt": "tat", "ug": "uig-script_arabic", "uk": "ukr",
    "ur": "urd-script_arabic", "uz": "uzb-script_cyrillic", "vi": "vie", "yo": "yor",
}  # fmt: skip
"""ISO 639-1 → the model that speaks it, of the publisher's list. There is none for it, ja and zh among others."""


class MmsSynthesizer(VitsSynthesizer):
    """MMS, or any VITS in the format of transformers.

    Options: ``model`` is a folder that holds one model (then ``extra["language"]`` says which language), or one folder
    a language named by its ISO 639-1 code or by MMS' own (``es``, ``spa``); without it the hub's models are taken.
    ``extra``: ``batch_size``, ``dtype``, ``gender`` of the voices (male), ``revision``, ``allow_download``.

    Most of its models know no digits: numbers come written out (:mod:`shared.core.spoken_form`).
    """

    name: ClassVar[str] = "mms"
    packages: ClassVar[tuple[str, ...]] = ("torch", "transformers", "uroman")
    licence: ClassVar[Licence] = Licence(
        "CC-BY-NC-4.0", commercial_use=False, note="Neither the models nor what they speak may be used commercially."
    )
    sample_rate = 16_000

    def __init__(self, options: EngineOptions, weights: WeightFiles) -> None:
        super().__init__(options, weights)
        with needing("synthesizer", self.name):
            import transformers
        self._transformers = transformers
        self._base = Path(options.model).expanduser() if options.model else None
        if self._base is not None and not self._base.is_dir():
            raise EngineError("There is no folder of MMS models at the given place.", code="weights_missing")

    @classmethod
    def weights(cls, options: EngineOptions) -> tuple[str, ...]:
        return ()

    @classmethod
    def digests(cls, options: EngineOptions) -> dict[str, str]:
        """Hash of the folder; the hub's models are named by their revision."""
        if options.model:
            return local_digests(options)
        return {HUB.format(code="*"): str(options.extra.get("revision") or "main")}

    @classmethod
    def languages_spoken(cls, options: EngineOptions) -> tuple[str, ...] | None:
        """Known before anything is loaded; None for a folder with a single model that does not say."""
        if not options.model:
            return tuple(MODELS)
        base = Path(options.model).expanduser()
        if (base / "config.json").is_file():
            own = options.extra.get("language")
            return (str(own),) if own else None
        named = {folder.parent.name for folder in base.glob("*/config.json")}
        return tuple(language for language, code in MODELS.items() if {language, code} & named)

    @classmethod
    def absent(cls, options: EngineOptions, language: str) -> tuple[str, ...]:
        if options.model:
            return absent(options)
        code = MODELS.get(language)
        return absent(replace(options, model=HUB.format(code=code))) if code else ()

    @classmethod
    def repositories(cls, options: EngineOptions, language: str) -> tuple[str, ...]:
        code = MODELS.get(language)
        return (HUB.format(code=code),) if code and not options.model else ()

    def model_of(self, language: str) -> str | None:
        code = MODELS.get(language)
        if self._base is None:
            return code
        if (self._base / "config.json").is_file():
            own = self._options.extra.get("language")
            return str(self._base) if own in (None, language) else None
        for name in filter(None, (language, code)):
            if (self._base / name / "config.json").is_file():
                return str(self._base / name)
        return None

    def voices(self, language: str) -> list[Voice]:
        if self.model_of(language) is None:
            return []
        female = self._options.extra.get("gender") == "female"
        return [Voice("mms", language, "female" if female else "male")]

    def open(self, key: str) -> Network:
        folder = Path(key)
        if self._base is None:
            folder = hub_folder(HUB.format(code=key), self._options)
        with loading(self.name):
            return _Mms(self, folder)


class _Mms:
    """One language's model and tokenizer."""

    def __init__(self, engine: MmsSynthesizer, folder: Path) -> None:
        self._torch = engine._torch
        self._device = engine._device
        self._tokenizer = engine._transformers.VitsTokenizer.from_pretrained(str(folder), local_files_only=True)
        model = engine._transformers.VitsModel.from_pretrained(str(folder), local_files_only=True)
        self._model = model.to(engine._device).eval()
        self.sample_rate = int(model.config.sampling_rate)

    def tokens(self, text: str, language: str) -> list[int]:
        if self._tokenizer.is_uroman and not text.isascii():
            # The tokenizer would do it too, but read uroman's tables anew for each text, which takes seconds.
            try:
                text = romaniser().romanize_string(text.lower())
            except ImportError as error:
                raise EngineError(
                    f"MMS speaks “{language}” from Latin letters and needs the package “uroman”, which is not "
                    "installed.",
                    code="engine_missing",
                    package="uroman",
                ) from error
        known, _ = self._tokenizer.prepare_for_tokenization(text)
        if not any(char.isalnum() for char in known):
            return []
        ids: list[int] = self._tokenizer(text)["input_ids"]
        return ids

    def run(self, batch: Sequence[Sequence[int]], parts: Sequence[SpeechRequest]) -> list[Audio]:
        torch = self._torch
        ids, sizes = padded(torch, batch, self._tokenizer.pad_token_id or 0, self._device)
        mask = torch.arange(ids.shape[1], device=self._device)[None] < sizes[:, None]
        rate = torch.tensor([part.speed for part in parts], device=self._device)[:, None, None]
        out = self._model(input_ids=ids, attention_mask=mask.long(), speaking_rate=rate)
        audio, lengths = out.waveform.float().cpu().numpy(), out.sequence_lengths.tolist()
        return [np.array(row[: int(length)], np.float32) for row, length in zip(audio, lengths, strict=True)]


@lru_cache(maxsize=1)
def romaniser() -> Any:
    """Uroman with its tables."""
    import uroman

    return uroman.Uroman()
