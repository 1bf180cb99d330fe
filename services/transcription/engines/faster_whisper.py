"""Whisper through CTranslate2 (faster-whisper): text, word times and language.

Whisper's encoder always looks at 30 s; a line of a film lasts three. Silence behind the speech is cut from what the
encoder sees, down to :data:`MARGIN_SECONDS`: 5–10 times faster for short lines and, measured on speech in en, es, fr
and ja, as accurate. With less silence than that the decoder no longer finds the end and repeats itself, so a
repetitive answer is asked for again with all 30 s.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from shared.engines import Audio, EngineOptions, Licence, Segment, WeightFiles, missing
from shared.errors import EngineError, UsageError
from shared.records import Word

if TYPE_CHECKING:
    from faster_whisper import WhisperModel

MARGIN_SECONDS = 4.0
FRAMES_PER_SECOND = 100
WINDOW_FRAMES = 3000
MAX_COMPRESSION_RATIO = 2.4
"""Text that gzip shrinks by more than this repeats itself (Whisper's own default)."""
DOUBTFUL_LOGPROB = -0.7
"""Below this mean log-probability a second hearing with the full window is worth its time."""


def useful_frames(mel: np.ndarray, margin: float = MARGIN_SECONDS) -> int:
    """Frames of zero-padded mel features ``[bands, frames]`` to encode: the sound plus a margin, an even number."""
    sound = np.flatnonzero(np.any(mel != 0, axis=0))
    last = int(sound[-1]) + 1 if sound.size else 0
    wanted = last + round(margin * FRAMES_PER_SECOND)
    return min(WINDOW_FRAMES, int(mel.shape[1]), wanted + wanted % 2)


def short_window_model(path: str, options: EngineOptions) -> WhisperModel:
    """A WhisperModel whose encoder sees no more silence than it needs and remembers the last sound it saw."""
    from faster_whisper import WhisperModel

    class ShortWindowModel(WhisperModel):  # type: ignore[misc,unused-ignore]
        full_window = False
        _seen: np.ndarray | None = None
        _encoded: Any = None

        def encode(self, features: np.ndarray) -> Any:
            mel = features[0] if features.ndim == 3 else features
            if not self.full_window:
                mel = np.ascontiguousarray(mel[:, : useful_frames(mel)])
            if self._seen is None or self._seen.shape != mel.shape or not np.array_equal(self._seen, mel):
                self._encoded = super().encode(mel)
                self._seen = mel
            return self._encoded

    on_cpu = options.device == "cpu"
    return ShortWindowModel(
        path,
        device=options.device,
        compute_type="int8" if on_cpu else "float16",
        cpu_threads=options.threads,
        local_files_only=True,
    )


class FasterWhisper:
    """Recogniser. Options: ``model`` (base, small, large-v3 …), ``device``, ``threads``, ``extra["beam_size"]``."""

    name: ClassVar[str] = "faster-whisper"
    licence: ClassVar[Licence] = Licence("MIT")

    @classmethod
    def weights(cls, options: EngineOptions) -> tuple[str, ...]:
        return (f"whisper-{options.model or 'base'}-ct2",)

    def __init__(self, options: EngineOptions, weights: WeightFiles) -> None:
        folder = weights.path(self.weights(options)[0])
        try:
            self._model: Any = short_window_model(str(folder), options)
        except ImportError as error:
            raise missing("recognizer", self.name, error) from error
        except (RuntimeError, ValueError) as error:
            raise EngineError(f"The Whisper model cannot be loaded: {error}.", code="engine_failed") from error
        self._beam_size = int(options.extra.get("beam_size", 5))

    def language(self, audio: Audio) -> dict[str, float]:
        """Probability of each ISO 639-1 language for up to 30 s of mono 16 kHz audio; empty for no audio."""
        from faster_whisper.audio import pad_or_trim

        if not audio.size:
            return {}
        self._model.full_window = False
        mel = self._model.feature_extractor(audio)[:, :-1]
        encoded = self._model.encode(pad_or_trim(mel[:, :WINDOW_FRAMES]))
        found = self._model.model.detect_language(encoded)[0]
        return {token[2:-2]: float(probability) for token, probability in found}

    def transcribe(self, audio: Audio, language: str | None) -> list[Segment]:
        """Text of mono 16 kHz speech with word times, seconds from the start of ``audio``.

        Deterministic: beam search at temperature 0. A repetitive or doubtful answer is asked for again with the
        encoder's whole window and then with repeated phrases forbidden; the surer answer that does not repeat wins.

        Raises:
            UsageError: ``unknown_language`` when the model does not know ``language``.
        """
        if language is not None and language not in self._model.supported_languages:
            raise UsageError(f"The recogniser does not know the language “{language}”.", code="unknown_language")
        if not audio.size:
            return []
        best, best_rank = self._attempt(audio, language, full=False)
        if best_rank >= (True, DOUBTFUL_LOGPROB):
            return best
        again, rank = self._attempt(audio, language, full=True)
        if rank > best_rank:
            best, best_rank = again, rank
        if not best_rank[0]:
            again, rank = self._attempt(audio, language, full=True, no_repeat_ngram_size=4)
            if rank > best_rank:
                best = again
        return best

    def _attempt(
        self, audio: Audio, language: str | None, *, full: bool, **options: Any
    ) -> tuple[list[Segment], tuple[bool, float]]:
        """Segments, and how much to believe them: (does not repeat itself, mean log-probability)."""
        self._model.full_window = full
        found, _ = self._model.transcribe(
            audio,
            language=language,
            beam_size=self._beam_size,
            temperature=0.0,
            condition_on_previous_text=False,
            word_timestamps=True,
            vad_filter=False,
            no_speech_threshold=None,
            **options,
        )
        segments, weights, sane = [], [], True
        for item in found:
            words = [
                Word(start=word.start, end=word.end, text=word.word, probability=word.probability)
                for word in item.words or []
            ]
            segments.append(Segment(item.text.strip(), words, item.avg_logprob, item.no_speech_prob))
            weights.append(max(len(item.tokens), 1))
            sane = sane and item.compression_ratio <= MAX_COMPRESSION_RATIO
        if not segments:
            return [], (True, 0.0)
        logprob = float(np.average([segment.mean_logprob for segment in segments], weights=weights))
        return segments, (sane, logprob)
