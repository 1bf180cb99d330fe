"""Whisper in its publisher's own package (openai-whisper): text, word times and language."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from services.transcription.engines import whisper_weights
from shared.audio.signal import SPEECH_RATE
from shared.core.errors import EngineError, UsageError
from shared.core.records import Word
from shared.engines.accelerator import BatchSize, in_batches, torch_device, torch_dtype, within_memory
from shared.engines.protocols import Audio, EngineOptions, Licence, Segment, WeightFiles, missing

WINDOW_SAMPLES = 30 * SPEECH_RATE
TEMPERATURES = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)
"""Beam search at 0; text that repeats itself is drawn again at the next one (Whisper's own ladder)."""
MAX_COMPRESSION_RATIO = 2.4


class OpenAIWhisper:
    """Recogniser.

    Options: ``model`` (large-v3, turbo, base …, or the path of a ``.pt`` file), ``device``, ``threads``, ``seed``;
    ``extra``: ``beam_size`` (5), ``batch_size`` (windows at a time), ``dtype`` (float16 on a graphics card, float32),
    ``allow_download``.
    """

    name: ClassVar[str] = "openai-whisper"
    packages: ClassVar[tuple[str, ...]] = ("openai-whisper", "torch")
    licence: ClassVar[Licence] = Licence("MIT")
    memory_mb: ClassVar[int] = 8000
    """On a card, of large-v3: 1.5 G parameters in float16 and 8 windows of 5 beams at work, reckoned and rounded up."""
    memory_by_model: ClassVar[dict[str, int]] = {
        "tiny": 1500,
        "base": 1500,
        "small": 2500,
        "medium": 5000,
        "turbo": 5000,
    }
    defaults: ClassVar[dict[str, Any]] = {"beam_size": 5}

    @classmethod
    def weights(cls, options: EngineOptions) -> tuple[str, ...]:
        return ()

    @classmethod
    def digests(cls, options: EngineOptions) -> dict[str, str]:
        """Hashes of weights that are not in the registry; known without loading anything."""
        return whisper_weights.digests(options)

    @classmethod
    def absent(cls, options: EngineOptions, language: str) -> tuple[str, ...]:
        return whisper_weights.absent(options)

    def __init__(self, options: EngineOptions, weights: WeightFiles) -> None:
        try:
            import torch
            import whisper
        except ImportError as error:
            raise missing("recognizer", self.name, error) from error
        self._torch, self._whisper = torch, whisper
        self._device, dtype = torch_device(options), torch_dtype(options)
        allowed = (torch.float16, torch.float32) if self._device.type == "cuda" else (torch.float32,)
        if dtype not in allowed:
            raise EngineError(
                "openai-whisper computes in float32, and on a graphics card in float16 too.", code="bad_dtype"
            )
        self.dtype, self._half = dtype, dtype == torch.float16
        if self._device.type == "cpu":
            torch.set_num_threads(options.threads)
        self._seed = options.seed
        self._beam_size = int(options.extra.get("beam_size", self.defaults["beam_size"]))
        self._batch = BatchSize(int(options.extra.get("batch_size", 8 if self._device.type == "cuda" else 1)))
        self._model = whisper_weights.load(options, self._device)
        if self._half:
            halve(torch, self._model)
        known = list(whisper.tokenizer.LANGUAGES)[: self._model.num_languages]
        self._languages = set(known) if self._model.is_multilingual else {"en"}

    def language(self, audio: Audio) -> dict[str, float]:
        """Probability of each ISO 639-1 language for up to 30 s of mono 16 kHz audio; empty for no audio."""
        if not audio.size:
            return {}
        if not self._model.is_multilingual:
            return {"en": 1.0}
        with within_memory():
            _, probabilities = self._model.detect_language(self._window(audio))
        return {language: float(probability) for language, probability in probabilities.items()}

    def transcribe(self, audio: Audio, language: str | None) -> list[Segment]:
        """Text of mono 16 kHz speech of any length with word times, seconds from the start of ``audio``.

        Deterministic: beam search, and where text repeats itself draws with the seed of the options.

        Raises:
            UsageError: ``unknown_language`` when the model does not know ``language``.
        """
        return self.transcribe_many([audio], language)[0]

    def transcribe_many(self, audios: Sequence[Audio], language: str | None) -> list[list[Segment]]:
        """:meth:`transcribe` of several pieces; the first 30 s of each are decoded ``batch_size`` at a time.

        Raises:
            UsageError: ``unknown_language``.
            EngineError: ``out_of_memory``.
        """
        if language is not None and language not in self._languages:
            raise UsageError(f"The recogniser does not know the language “{language}”.", code="unknown_language")
        spoken = [audio for audio in audios if audio.size]
        firsts: list[Any] = [None] * len(spoken)
        if self._batch.size > 1 and len(spoken) > 1:
            firsts = in_batches(
                spoken, lambda some: self._decode(some, language), self._batch, lambda audio: float(len(audio))
            )
        transcripts = iter([self._listen(audio, language, first) for audio, first in zip(spoken, firsts, strict=True)])
        return [next(transcripts) if audio.size else [] for audio in audios]

    def _window(self, audio: Audio) -> Any:
        """Mel features of the first 30 s as the model takes them, ``[bands, 3000]``."""
        # Silence behind the sound first, as whisper.transcribe has it: levels are relative to the loudest frame.
        heard = np.pad(audio[:WINDOW_SAMPLES].astype(np.float32, copy=False), (0, WINDOW_SAMPLES))
        mel = self._whisper.log_mel_spectrogram(heard, self._model.dims.n_mels)
        mel = self._whisper.pad_or_trim(mel, self._whisper.audio.N_FRAMES)
        return mel.to(self._device, self._torch.float16 if self._half else self._torch.float32)

    def _decode(self, audios: Sequence[Audio], language: str | None) -> list[Any]:
        """What whisper.decode says of the first windows, all in one run."""
        options = self._whisper.DecodingOptions(
            language=language, beam_size=self._beam_size, temperature=0.0, fp16=self._half
        )
        task = self._whisper.decoding.DecodingTask(self._model, options)
        encode, detect, beams = task._get_audio_features, task._detect_language, task.n_group
        # The package gives its beams the sound of one window only; here every beam gets that of its own window.
        task._get_audio_features = lambda mel: encode(mel).repeat_interleave(beams, dim=0)
        task._detect_language = lambda features, tokens: detect(features[::beams], tokens)
        return list(task.run(self._torch.stack([self._window(audio) for audio in audios])))

    def _listen(self, audio: Audio, language: str | None, first: Any) -> list[Segment]:
        if first is not None and language is None:
            language = first.language
        cards = [self._device] if self._device.type == "cuda" else []
        with within_memory(), self._torch.random.fork_rng(cards):
            self._torch.manual_seed(self._seed)
            transcript = self._whisper.transcribe(
                _Prepared(self._model, first),
                audio.astype(np.float32, copy=False),
                language=language,
                beam_size=self._beam_size,
                temperature=TEMPERATURES,
                compression_ratio_threshold=MAX_COMPRESSION_RATIO,
                logprob_threshold=None,
                no_speech_threshold=None,
                condition_on_previous_text=False,
                word_timestamps=True,
                fp16=self._half,
            )
        return [segment(item) for item in transcript["segments"] if item["text"].strip()]


def halve(torch: Any, model: Any) -> None:
    """Keep a model's large matrices in float16, in which they are used anyway: the package loads them in float32.

    Normalisation stays in float32, as the package computes it.
    """
    for module in model.modules():
        if isinstance(module, torch.nn.Linear | torch.nn.Conv1d | torch.nn.Embedding):
            module.half()


def segment(item: dict[str, Any]) -> Segment:
    words = [
        Word(
            start=float(word["start"]),
            end=max(float(word["start"]), float(word["end"])),
            text=word["word"],
            probability=float(word["probability"]),
        )
        for word in item["words"]
    ]
    return Segment(item["text"].strip(), words, float(item["avg_logprob"]), float(item["no_speech_prob"]))


class _Prepared:
    """A model that already knows its answer for the first window, and is itself for everything else."""

    def __init__(self, model: Any, first: Any) -> None:
        self._model = model
        self._first = first

    def __getattr__(self, name: str) -> Any:
        return getattr(self._model, name)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._model(*args, **kwargs)

    def decode(self, mel: Any, options: Any) -> Any:
        first, self._first = self._first, None
        return first if first is not None else self._model.decode(mel, options)
