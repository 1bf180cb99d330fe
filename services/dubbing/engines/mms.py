"""MMS (Pratap et al. 2023): VITS voices of 1,100 languages, one model and one voice each, through transformers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np

from services.dubbing.engines.resident import hub_folder, loading, needing
from services.dubbing.engines.vits import Network, VitsSynthesizer, padded
from shared.core import languages
from shared.core.errors import EngineError
from shared.engines.protocols import Audio, EngineOptions, Licence, SpeechRequest, Voice, WeightFiles
from shared.weights.local import local_digests

HUB = "facebook/mms-tts-{code}"
"""Where the models of all languages are, by ISO 639-3."""


class MmsSynthesizer(VitsSynthesizer):
    """MMS, or any VITS in the format of transformers.

    Options: ``model`` is a folder that holds one model (then ``extra["language"]`` says which language), or one folder
    a language named by its ISO 639-1 or 639-3 code (``es``, ``spa``); without it the hub's models are taken.
    ``extra``: ``batch_size``, ``dtype``, ``gender`` of the voices (male), ``revision``, ``allow_download``.

    Most of its models know no digits: numbers come written out (:mod:`shared.core.spoken_form`).
    """

    name: ClassVar[str] = "mms"
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

    def model_of(self, language: str) -> str | None:
        code = code_of(language)
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
        if self._tokenizer.is_uroman and not text.isascii() and not romaniser_here():
            raise EngineError(
                f"MMS speaks “{language}” from Latin letters and needs the package “uroman”, which is not installed.",
                code="engine_missing",
                package="uroman",
            )
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


def code_of(language: str) -> str | None:
    """ISO 639-3, as MMS names its models."""
    try:
        return languages.alpha3(language)
    except LookupError:
        return None


def romaniser_here() -> bool:
    try:
        import uroman  # noqa: F401
    except ImportError:
        return False
    return True
