"""XTTS-v2 (Casanova et al. 2024) through coqui-tts: speaks 17 languages with the voice of a reference."""

from __future__ import annotations

import hashlib
import json
import threading
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from services.dubbing.casting.cast import Candidate
from services.dubbing.engines.coqui import library
from services.dubbing.engines.long_text import join, pieces
from services.dubbing.engines.resident import Resident, loading, model_folder, needing, one_file, use_threads
from shared.audio.signal import SPEECH_RATE, resample
from shared.core.errors import EngineError, UsageError
from shared.core.text import alphanumerics
from shared.engines.accelerator import drawing, torch_device, torch_dtype, within_memory
from shared.engines.protocols import Audio, EngineOptions, Licence, SpeechRequest, Voice, WeightFiles
from shared.weights.local import absent, local_digests, registered_names, repositories

HUB = "coqui/XTTS-v2"
LANGUAGES = ("ar", "cs", "de", "en", "es", "fr", "hi", "hu", "it", "ja", "ko", "nl", "pl", "pt", "ru", "tr", "zh")
"""Of the release, ISO 639-1."""
CLONE = "clone"
"""The voice that is taken from the reference."""
REFERENCE_RATE = 22_050
"""At which the library reads references."""
MIN_REFERENCE_SECONDS = 1.0
VOICES_KEPT = 16
"""Voices whose conditioning is remembered; computing one costs about as much as a short line."""


class XttsSynthesizer:
    """See :class:`shared.engines.protocols.Synthesizer`. Draws its speech: another seed gives another delivery.

    The library generates one line at a time, so lines are not batched: the language model would take several texts,
    but its decoder's input has no padding mask.

    Options: ``model`` is a folder with ``config.json``, ``model.pth``, ``vocab.json`` and, for the voices that come
    with it, ``speakers_xtts.pth``; without it the hub's model is taken. ``extra``: ``dtype`` (float32 unless set),
    ``temperature``, ``allow_download``, ``revision``.
    """

    name: ClassVar[str] = "xtts"
    packages: ClassVar[tuple[str, ...]] = ("coqui-tts", "torch", "torchaudio")
    language_packages: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "ja": ("cutlet", "fugashi", "unidic-lite"),
        "zh": ("pypinyin",),
    }
    licence: ClassVar[Licence] = Licence(
        "CPML",
        commercial_use=False,
        note="Coqui Public Model License 1.0.0: neither the model nor what it speaks may be used commercially.",
    )
    native_speed: ClassVar[tuple[float, float]] = (0.8, 1.25)
    clones: ClassVar[bool] = True
    generative: ClassVar[bool] = True
    """Draws token by token and may go on after the text: its speech is checked and drawn anew."""
    memory_mb: ClassVar[int] = 4000
    """Its 467 M parameters in float32, their cache and the sound decoder, rounded up."""
    sample_rate = 24_000

    def __init__(self, options: EngineOptions, weights: WeightFiles) -> None:
        with needing("synthesizer", self.name), library():
            import torch
            import TTS.tts.models.xtts  # noqa: F401
        self._torch = torch
        self._options = options
        self._device = torch_device(options)
        self._dtype = torch_dtype(options) if options.extra.get("dtype") else torch.float32
        self._folder = model_folder(options, weights, HUB)
        self._model: Resident[Any] = Resident(self._load)
        self._conditioning: OrderedDict[str, tuple[Any, Any]] = OrderedDict()
        self._lock = threading.RLock()
        with loading(self.name), library():
            self._config = read_config(self._folder)

    @classmethod
    def weights(cls, options: EngineOptions) -> tuple[str, ...]:
        return registered_names(options, HUB)

    @classmethod
    def digests(cls, options: EngineOptions) -> dict[str, str]:
        return local_digests(options, HUB)

    @classmethod
    def languages_spoken(cls, options: EngineOptions) -> tuple[str, ...]:
        """Known before anything is loaded: those of the release, or what a given folder's configuration names."""
        config = Path(options.model).expanduser() / "config.json" if options.model else None
        if config is None or not config.is_file():
            return LANGUAGES
        stated = json.loads(config.read_text(encoding="utf-8")).get("languages") or LANGUAGES
        return tuple(language.split("-")[0] for language in stated)

    @classmethod
    def absent(cls, options: EngineOptions, language: str) -> tuple[str, ...]:
        return absent(options, HUB)

    @classmethod
    def repositories(cls, options: EngineOptions, language: str) -> tuple[str, ...]:
        return repositories(options, HUB)

    def release(self) -> None:
        """Give the memory back; the model is loaded again when needed."""
        with self._lock:
            self._conditioning.clear()
            self._model.release()

    def voices(self, language: str) -> list[Voice]:
        """The reference's own voice; :meth:`describe` knows the others. Its gender is the reference's."""
        return [Voice(CLONE, language, "female")] if self._code(language) else []

    def describe(self, voice: str, language: str) -> Candidate:
        """A voice that a user names: ``clone``, or one that comes with the model.

        Raises:
            UsageError: ``unknown_voice``.
        """
        if voice == CLONE or voice in self._studio():
            return Candidate(voice, "female", True)
        known = ", ".join([CLONE, *self._studio()])
        raise UsageError(f"There is no voice “{voice}”. XTTS knows {known}.", code="unknown_voice", voice=voice)

    def synthesize(self, request: SpeechRequest) -> Audio:
        """Mono speech at 24 kHz in the voice of ``reference`` (mono 16 kHz, 1 s or more, 6 to 12 s are best).

        Raises:
            UsageError: ``no_voice``, ``unknown_voice``.
            EngineError: ``no_reference`` when there is too little of the speaker, ``nothing_to_speak``,
                ``out_of_memory``, ``engine_missing`` (Japanese needs cutlet), ``engine_failed``.
        """
        code = self._code(request.language)
        if code is None:
            raise UsageError(f"XTTS does not speak “{request.language}”.", code="no_voice", language=request.language)
        if not alphanumerics(request.text):
            raise EngineError("The text has nothing that can be spoken.", code="nothing_to_speak")
        with self._lock:
            model = self._model()
            conditioning = self._condition(model, request.voice, request.reference)
            with needing("synthesizer", self.name):
                parts = pieces(request.text, lambda part: self._fits(model, part, code))
            parts = [part for part in parts if alphanumerics(part)]
            with drawing(self._device, self._dtype, request.seed):
                spoken = []
                for part in parts:
                    with within_memory():
                        spoken.append(self._speak(model, part, code, conditioning, request.speed))
        return join(spoken, self.sample_rate)

    def _code(self, language: str) -> str | None:
        """The model's own code: ``zh-cn`` for ``zh``."""
        return next((one for one in self._config.languages if one.split("-")[0] == language), None)

    def _fits(self, model: Any, part: str, code: str) -> bool:
        short = code.split("-", maxsplit=1)[0]
        if len(part) > model.tokenizer.char_limits.get(short, 250):
            return len(part) < 2
        tokens = len(model.tokenizer.encode(part.strip().lower(), lang=short))
        return tokens < int(model.args.gpt_max_text_tokens) - 2

    def _speak(self, model: Any, text: str, code: str, conditioning: tuple[Any, Any], speed: float) -> Audio:
        latents, embedding = conditioning
        low, high = self.native_speed
        config = self._config
        out = model.inference(
            text,
            code,
            latents,
            embedding,
            temperature=float(self._options.extra.get("temperature") or config.temperature),
            length_penalty=config.length_penalty,
            repetition_penalty=config.repetition_penalty,
            top_k=config.top_k,
            top_p=config.top_p,
            speed=float(np.clip(speed, low, high)),
        )
        audio = np.atleast_1d(np.asarray(out["wav"], np.float32))
        if not audio.size or not np.isfinite(audio).all():
            raise EngineError("XTTS returned no usable sound for this text.", code="engine_failed")
        return audio

    def _condition(self, model: Any, voice: str, reference: Audio | None) -> tuple[Any, Any]:
        """What the model knows of the voice: latents for its language model, an embedding for its decoder."""
        if voice != CLONE:
            known = getattr(model.speaker_manager, "speakers", None) or {}
            if voice not in known:
                raise UsageError(f"XTTS has no voice “{voice}”.", code="unknown_voice", voice=voice)
            latents, embedding = known[voice].values()
            return latents, embedding
        if reference is None or reference.size < MIN_REFERENCE_SECONDS * SPEECH_RATE:
            raise EngineError(
                "There is too little clean speech of this speaker to take the voice from.", code="no_reference"
            )
        key = hashlib.sha256(np.ascontiguousarray(reference, np.float32).tobytes()).hexdigest()
        if key not in self._conditioning:
            self._conditioning[key] = self._listen(model, reference)
            while len(self._conditioning) > VOICES_KEPT:
                self._conditioning.popitem(last=False)
        self._conditioning.move_to_end(key)
        return self._conditioning[key]

    def _listen(self, model: Any, reference: Audio) -> tuple[Any, Any]:
        torch, config = self._torch, self._config
        audio = np.clip(resample(reference, SPEECH_RATE, REFERENCE_RATE), -1, 1)[
            : REFERENCE_RATE * int(config.max_ref_len)
        ]
        heard = torch.from_numpy(np.ascontiguousarray(audio, np.float32))[None].to(self._device)
        with torch.inference_mode():
            latents = model.get_gpt_cond_latents(
                heard, REFERENCE_RATE, length=config.gpt_cond_len, chunk_length=config.gpt_cond_chunk_len
            )
            return latents, model.get_speaker_embedding(heard, REFERENCE_RATE)

    def _studio(self) -> list[str]:
        """Names of the voices that come with the model."""
        with self._lock:
            return list(getattr(self._model().speaker_manager, "speakers", None) or {})

    def _load(self) -> Any:
        use_threads(self._torch, self._options)
        with loading(self.name), library():
            model = library_model()(self._config)
            model.load_checkpoint(
                self._config,
                checkpoint_path=str(one_file(self._folder, "model.pth", "*.pth")),
                vocab_path=str(one_file(self._folder, "vocab.json")),
                speaker_file_path=str(self._folder / "speakers_xtts.pth"),
                use_deepspeed=False,
                eval=True,
            )
            return model.to(self._device)


def read_config(folder: Path) -> Any:
    from TTS.tts.configs.xtts_config import XttsConfig

    config = XttsConfig()
    config.load_json(str(one_file(folder, "config.json")))
    config.model_args.tokenizer_file = str(one_file(folder, "vocab.json"))
    return config


def library_model() -> Any:
    """The library's class, reading checkpoints without touching them.

    The library writes old checkpoints anew in place, which fails in a read-only folder and changes their hash.
    """
    import torch
    from TTS.tts.models import xtts

    class ReadOnly(xtts.Xtts):  # type: ignore[misc,unused-ignore]  # without its library: Any
        def _load_checkpoint(self, model_path: Path) -> Any:
            with xtts._legacy_safe_globals():
                return torch.load(model_path, map_location="cpu", weights_only=True)["model"]

    return ReadOnly
