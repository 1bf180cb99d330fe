"""SeamlessM4T's speech: second half of its text-to-speech translation (``t2st``), the paper's own route."""

from __future__ import annotations

import threading
from typing import Any, ClassVar

import numpy as np

from services.dubbing.casting.cast import Candidate
from services.dubbing.engines.long_text import join, pieces
from shared.core.errors import EngineError, UsageError
from shared.engines.accelerator import out_of_memory, release, torch_device, torch_dtype, within_memory
from shared.engines.protocols import Audio, EngineOptions, Licence, SpeechRequest, Voice, WeightFiles
from shared.observability.internal_errors import summary
from shared.weights.local import (
    absent,
    is_hub_name,
    local_digests,
    located,
    may_download,
    registered_names,
    repositories,
    revision,
)

DEFAULT = "facebook/seamless-m4t-v2-large"
CLASSES = {"seamless_m4t": "SeamlessM4TForTextToSpeech", "seamless_m4t_v2": "SeamlessM4Tv2ForTextToSpeech"}
LONGEST = 200
"""Tokens spoken in one pass."""
UNITS = 30
"""Units of speech (50 a second) that a token of text may last; the first version's models might go on for ever."""
CODES = {
    "ar": "arb", "bn": "ben", "ca": "cat", "cs": "ces", "cy": "cym", "da": "dan", "de": "deu", "en": "eng",
    "et": "est", "fa": "pes", "fi": "fin", "fr": "fra", "hi": "hin", "id": "ind", "it": "ita", "ja": "jpn",
    "ko": "kor", "mt": "mlt", "nl": "nld", "pl": "pol", "pt": "por", "ro": "ron", "ru": "rus", "sk": "slk",
    "es": "spa", "sv": "swe", "sw": "swh", "te": "tel", "th": "tha", "tl": "tgl", "tr": "tur", "uk": "ukr",
    "ur": "urd", "uz": "uzn", "vi": "vie", "zh": "cmn",
}  # fmt: skip
"""Languages that the released models speak, ISO 639-1 → the models' code."""


class SeamlessSynthesizer:
    """See :class:`shared.engines.protocols.Synthesizer`. 16 kHz; ``seed`` and ``reference`` change nothing.

    The model is made to translate the target text into itself, each token of its decoder given: so it speaks exactly
    the text that the pipeline chose, checked, fitted or that a person edited, by the units and the vocoder that its own
    text-to-speech translation uses. Speech straight from the source would bind the two stages into one, speak a text
    that no check has seen, and could not be asked for another wording when it is too long.

    Lines are not batched: in a batch the library leaves the end token with all texts but the longest, so that a line
    would sound otherwise in one company than in another.

    A voice is a speaker of the vocoder by number. The publisher does not say who sounds how; speaker 0, the
    library's default, is offered, any other can be named with ``dubbing.voices``. A voice converter belongs behind it.
    """

    name: ClassVar[str] = "seamless"
    packages: ClassVar[tuple[str, ...]] = ("sentencepiece", "torch", "transformers")
    licence: ClassVar[Licence] = Licence("CC-BY-NC-4.0", commercial_use=False, note="Not for commercial use.")
    native_speed: ClassVar[tuple[float, float]] = (1.0, 1.0)
    memory_mb: ClassVar[int] = 8000
    """On a card: 2.3 G parameters in float16 and one line at work, reckoned and rounded up."""
    sample_rate = 16_000

    def __init__(self, options: EngineOptions, weights: WeightFiles) -> None:
        import torch
        import transformers

        transformers.utils.logging.disable_progress_bar()
        transformers.utils.logging.set_verbosity_error()
        self._torch, self._transformers, self._options = torch, transformers, options
        self._device, self._dtype = torch_device(options), torch_dtype(options)
        self._place = str(located(options, weights, DEFAULT))
        self._files = {
            "local_files_only": not may_download(options),
            "revision": revision(options),
        }
        config = self._read(transformers.AutoConfig)
        if config.model_type not in CLASSES:
            raise EngineError(f"“{config.model_type}” is not a SeamlessM4T model.", code="bad_model")
        self._kind = getattr(transformers, CLASSES[config.model_type])
        self._first = config.model_type == "seamless_m4t"
        self._speakers = int(config.vocoder_num_spkrs)
        self._tokenizer = self._read(transformers.AutoTokenizer)
        self._spoken = set(self._read(transformers.GenerationConfig).vocoder_lang_code_to_id)
        self._model: Any = None
        self._lock = threading.RLock()

    @classmethod
    def weights(cls, options: EngineOptions) -> tuple[str, ...]:
        return registered_names(options, DEFAULT)

    @classmethod
    def digests(cls, options: EngineOptions) -> dict[str, str]:
        """Hashes of a model that is not in the registry; part of what names the results."""
        return local_digests(options, DEFAULT)

    @classmethod
    def absent(cls, options: EngineOptions, language: str) -> tuple[str, ...]:
        return absent(options, DEFAULT)

    @classmethod
    def repositories(cls, options: EngineOptions, language: str) -> tuple[str, ...]:
        return repositories(options, DEFAULT)

    @classmethod
    def languages_spoken(cls, options: EngineOptions) -> tuple[str, ...]:
        """Known before anything is loaded."""
        return tuple(CODES)

    def voices(self, language: str) -> list[Voice]:
        return [Voice("0", language, "female")] if CODES.get(language) in self._spoken else []

    def describe(self, voice: str, language: str) -> Candidate:
        """Any speaker of the vocoder.

        Raises:
            UsageError: ``unknown_voice``.
        """
        if not voice.isdecimal() or int(voice) >= self._speakers:
            raise UsageError(
                f"The voices of “seamless” are the numbers 0 to {self._speakers - 1}, not “{voice}”.",
                code="unknown_voice",
                voice=voice,
            )
        return Candidate(voice, "female", True)

    def synthesize(self, request: SpeechRequest) -> Audio:
        """Mono speech at 16 kHz.

        Raises:
            UsageError: ``unknown_voice``.
            EngineError: ``nothing_to_speak``, ``unspeakable_language``, ``out_of_memory``, ``engine_failed``.
        """
        self.describe(request.voice, request.language)
        code = CODES.get(request.language, "")
        if code not in self._spoken:
            raise EngineError(f"The model does not speak “{request.language}”.", code="unspeakable_language")
        with self._lock:
            parts = [
                self._speak(self._tokens(piece, code), code, int(request.voice))
                for piece in pieces(request.text, lambda part: len(self._tokens(part, code)) <= LONGEST)
                if any(char.isalnum() for char in piece)
            ]
        return join(parts, self.sample_rate)

    def _tokens(self, text: str, code: str) -> list[int]:
        ids: list[int] = self._tokenizer(text, add_special_tokens=False)["input_ids"]
        return ids

    def _speak(self, tokens: list[int], code: str, speaker: int) -> Audio:
        torch = self._torch
        model = self._loaded()
        end = int(self._tokenizer.eos_token_id)
        language = self._tokenizer.convert_tokens_to_ids(f"__{code}__")
        inputs = torch.tensor([[language, *tokens, end]], device=self._device)

        def next_token(_: int, generated: Any) -> list[int]:
            place = len(generated) - 2
            return [tokens[place] if place < len(tokens) else end]

        with within_memory(), torch.inference_mode():
            waveform, lengths = model.generate(
                input_ids=inputs,
                attention_mask=torch.ones_like(inputs),
                tgt_lang=code,
                text_num_beams=1,
                text_do_sample=False,
                text_prefix_allowed_tokens_fn=next_token,
                text_max_new_tokens=len(tokens) + 1,
                **self._of_version(speaker, len(tokens)),
            )
        audio: np.ndarray = waveform.float().cpu().numpy().reshape(-1)[: int(lengths.reshape(-1)[0])].astype(np.float32)
        if not audio.size or not np.isfinite(audio).all():
            raise EngineError("SeamlessM4T returned no usable sound for this text.", code="engine_failed")
        return audio

    def _of_version(self, speaker: int, size: int) -> dict[str, Any]:
        """Arguments that differ: the first version says its units one by one, the second all at once."""
        if self._first:
            greedy = {"speech_num_beams": 1, "speech_do_sample": False}
            return {"spkr_id": speaker, "speech_max_new_tokens": UNITS * (size + 2), **greedy}
        return {"speaker_id": speaker}

    def _loaded(self) -> Any:
        if self._model is None:
            if self._device.type == "cpu":
                self._torch.set_num_threads(max(1, self._options.threads))
            with within_memory():
                self._model = self._read(self._kind, dtype=self._dtype).to(self._device).eval()
        return self._model

    def release(self) -> None:
        """Give the memory back; the next call loads anew."""
        with self._lock:
            self._model = None
        release()

    def _read(self, kind: Any, **settings: Any) -> Any:
        try:
            return kind.from_pretrained(self._place, **self._files, **settings)
        except ImportError:
            raise
        except Exception as error:
            if out_of_memory(error):
                raise
            name = self._options.model or DEFAULT
            if isinstance(error, OSError) and self._place == name and is_hub_name(name):
                raise EngineError(
                    f"The model “{name}” is not on this machine. Run `counterdub models pull {name}`, give a folder as "
                    "dubbing.model, or let it be fetched with allow_download.",
                    code="weights_missing",
                ) from error
            raise EngineError(f"The model could not be loaded: {summary(error)}", code="engine_load_failed") from error
