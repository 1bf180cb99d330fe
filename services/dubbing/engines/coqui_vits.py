"""Coqui's VITS voices (Kim et al. 2021) through the coqui-tts library: one language or several, one voice or many."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np

from services.dubbing.engines.coqui import library
from services.dubbing.engines.coqui_phonemes import use_our_espeak
from services.dubbing.engines.resident import loading, model_folder, needing, one_file
from services.dubbing.engines.vits import Network, VitsSynthesizer, padded
from shared.core.errors import EngineError
from shared.engines.protocols import Audio, EngineOptions, Licence, SpeechRequest, Voice, WeightFiles
from shared.weights.local import absent, local_digests, registered_names

FILES_NAMED = ("speakers_file", "speaker_ids_file", "d_vector_file", "language_ids_file")
"""Settings of a Coqui configuration that hold a path on the machine where it was trained."""


class CoquiVitsSynthesizer(VitsSynthesizer):
    """A VITS model as Coqui releases it: a folder with ``config.json`` and ``model_file.pth`` (or any ``*.pth``).

    Options: ``model`` is such a folder, or one that holds one such folder a language (``es``, ``fr`` …);
    ``extra``: ``language`` of a single model whose configuration does not name one, ``genders`` (``{p225 = "female"}``;
    female where nothing is said), ``batch_size``, ``dtype``.
    """

    name: ClassVar[str] = "coqui-vits"
    packages: ClassVar[tuple[str, ...]] = ("coqui-tts", "torch", "torchaudio")
    licence: ClassVar[Licence] = Licence(
        "as of the model given",
        note="Every model has its own terms: Coqui's are mostly Apache-2.0 or BSD-3-Clause (en, de, es, fr, it, nl), "
        "YourTTS is CC-BY-NC-ND-4.0. The library is MPL-2.0; phonemes may need eSpeak NG (GPL-3.0-or-later).",
    )
    sample_rate = 22_050

    def __init__(self, options: EngineOptions, weights: WeightFiles) -> None:
        super().__init__(options, weights)
        with needing("synthesizer", self.name), library():
            import TTS.tts.models.vits  # noqa: F401
        self._base = model_folder(options, weights, engine=self.name)

    @classmethod
    def weights(cls, options: EngineOptions) -> tuple[str, ...]:
        return registered_names(options)

    @classmethod
    def digests(cls, options: EngineOptions) -> dict[str, str]:
        return local_digests(options)

    @classmethod
    def languages_spoken(cls, options: EngineOptions) -> tuple[str, ...] | None:
        """Known before anything is loaded; None for a folder with a single model that does not say."""
        base = Path(options.model).expanduser()
        if not options.model or not base.is_dir():
            return None
        if (base / "config.json").is_file():
            own = options.extra.get("language")
            return (str(own),) if own else None
        return tuple(sorted(folder.parent.name for folder in base.glob("*/config.json")))

    @classmethod
    def absent(cls, options: EngineOptions, language: str) -> tuple[str, ...]:
        return absent(options) if options.model else ("a folder with a model (dubbing.model)",)

    def model_of(self, language: str) -> str | None:
        if not (self._base / "config.json").is_file():
            return str(self._base / language) if (self._base / language / "config.json").is_file() else None
        own = self._options.extra.get("language")
        spoken = [str(own)] if own else self._opened(str(self._base)).languages
        return str(self._base) if not spoken or language in spoken else None

    def voices(self, language: str) -> list[Voice]:
        key = self.model_of(language)
        if key is None:
            return []
        genders = dict(self._options.extra.get("genders") or {})
        return [Voice(name, language, gender(genders.get(name))) for name in self._opened(key).speakers]

    def open(self, key: str) -> Network:
        with loading(self.name), library():
            return _Vits(self._torch, self._device, Path(key))

    def _opened(self, key: str) -> _Vits:
        network = self.opened(key)
        assert isinstance(network, _Vits)
        return network


class _Vits:
    """One model, its tokenizer and the names it knows."""

    def __init__(self, torch: Any, device: Any, folder: Path) -> None:
        from TTS.config import load_config
        from TTS.tts.models.vits import Vits

        use_our_espeak()
        config = load_config(str(one_file(folder, "config.json")))
        at_home(config, folder)
        if config.model != "vits":
            raise EngineError(f"The model in “{folder.name}” is a {config.model}, not a VITS.", code="bad_model")
        if config.model_args.use_d_vector_file:
            raise EngineError(
                "VITS models that take a voice by its embedding (YourTTS) are not supported.", code="bad_model"
            )
        self._torch, self._device = torch, device
        model = Vits(config)
        weights = one_file(folder, "model_file.pth", "model.pth", "best_model.pth", "*model*.pth")
        model.load_checkpoint(config, str(weights), eval=True)
        # Only training needs it, and it is half of the memory.
        model.disc = None
        self._model = model.to(device)
        self.sample_rate = int(config.audio.sample_rate)
        speakers = model.speaker_manager
        named = bool(speakers and config.model_args.use_speaker_embedding and speakers.name_to_id)
        self._ids: dict[str, int] = dict(speakers.name_to_id) if named else {}
        self.speakers = list(self._ids) or ["vits"]
        several = config.model_args.use_language_embedding and model.language_manager
        self._languages: dict[str, int] = dict(model.language_manager.name_to_id) if several else {}
        spoken = list(self._languages) or [str(getattr(config, "phoneme_language", None) or "")]
        self.languages = [name.split("-")[0].split("_")[0] for name in spoken if name]

    def _language(self, language: str) -> str | None:
        """The model's own name of a language: ``fr-fr`` for ``fr``."""
        return next((name for name in self._languages if name.replace("_", "-").split("-")[0] == language), None)

    def tokens(self, text: str, language: str) -> list[int]:
        if not any(char.isalnum() for char in text):
            return []
        ids: list[int] = self._model.tokenizer.text_to_ids(text, language=self._language(language))
        return ids

    def run(self, batch: Sequence[Sequence[int]], parts: Sequence[SpeechRequest]) -> list[Audio]:
        torch, model = self._torch, self._model
        ids, sizes = padded(torch, batch, int(model.tokenizer.pad_id or 0), self._device)
        inputs: dict[str, Any] = {"x_lengths": sizes}
        if self._ids:
            inputs["speaker_ids"] = torch.tensor([self._ids[part.voice] for part in parts], device=self._device)
        if self._languages:
            which = [self._languages[str(self._language(part.language))] for part in parts]
            inputs["language_ids"] = torch.tensor(which, device=self._device)
        usual = model.length_scale
        try:
            slower = torch.tensor([usual / part.speed for part in parts], device=self._device)
            model.length_scale = slower[:, None, None]
            out = model.inference(ids, aux_input=inputs)
        finally:
            model.length_scale = usual
        audio, mask = out["model_outputs"].float().cpu().numpy()[:, 0], out["y_mask"][:, 0]
        frame = audio.shape[-1] / mask.shape[-1]
        lengths = mask.sum(-1).tolist()
        return [np.array(row[: round(length * frame)], np.float32) for row, length in zip(audio, lengths, strict=True)]


def at_home(config: Any, folder: Path) -> None:
    """Point the configuration to the files beside it; paths of other machines are forgotten."""
    for part in (config, config.model_args):
        for name in FILES_NAMED:
            given = getattr(part, name, None)
            if given:
                here = folder / Path(str(given)).name
                setattr(part, name, str(here) if here.is_file() else None)


def gender(stated: Any) -> Literal["female", "male"]:
    return "male" if stated == "male" else "female"
