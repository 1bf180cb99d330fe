"""Whisper through CTranslate2 (faster-whisper): text, word times and language.

Whisper's encoder always looks at 30 s; a line of a film lasts three. Silence behind the speech is cut from what the
encoder sees, down to :data:`MARGIN_SECONDS`: 5–10 times faster for short lines and, measured on speech in en, es, fr
and ja, as accurate. With less silence than that the decoder no longer finds the end and repeats itself, so a
repetitive answer is asked for again with all 30 s.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from shared.audio.signal import SPEECH_RATE
from shared.core.errors import EngineError, UsageError
from shared.core.records import Word
from shared.core.text import UNSPACED
from shared.engines.accelerator import (
    CUBLAS,
    BatchSize,
    find_cublas,
    in_batches,
    out_of_memory,
    too_large,
    within_memory,
)
from shared.engines.protocols import Audio, EngineOptions, Licence, Segment, WeightFiles, missing
from shared.observability.internal_errors import summary
from shared.weights.given import digest, is_place, place
from shared.weights.hub_trust import MAIN, pulled, pulled_folder
from shared.weights.local import hub_commit, may_download
from shared.weights.registry import catalog

if TYPE_CHECKING:
    from faster_whisper import WhisperModel

MARGIN_SECONDS = 4.0
FRAMES_PER_SECOND = 100
WINDOW_FRAMES = 3000
MAX_COMPRESSION_RATIO = 2.4
"""Text that gzip shrinks by more than this repeats itself (Whisper's own default)."""
WINDOW_SAMPLES = 30 * SPEECH_RATE
FRAME_SAMPLES = SPEECH_RATE // FRAMES_PER_SECOND
SHORTEST = 2 * FRAME_SAMPLES
"""The library finds no times for words in less, and fails."""
LEAST_PROBABILITY = 1e-9
LONGEST_TOKEN = 32
"""Bytes."""
SKIMMED_TOKENS = 200
"""More than anybody says in 30 s."""
DOUBTFUL_LOGPROB = -0.7
"""Below this mean log-probability a second hearing with the full window is worth its time."""
LADDER: tuple[dict[str, Any], ...] = (
    {"no_repeat_ngram_size": 4},
    {"no_repeat_ngram_size": 3, "repetition_penalty": 1.2},
)
"""What is asked again of a window whose text is in doubt, where the library would draw words at random."""
UNPROMPTED = 1.0
"""Told as the temperature of an answer from the ladder: the next window is then not prompted with it."""


def useful_frames(mel: np.ndarray, margin: float = MARGIN_SECONDS) -> int:
    """Frames of zero-padded mel features ``[bands, frames]`` to encode: the sound plus a margin, an even number."""
    sound = np.flatnonzero(np.any(mel != 0, axis=0))
    last = int(sound[-1]) + 1 if sound.size else 0
    wanted = last + round(margin * FRAMES_PER_SECOND)
    return min(WINDOW_FRAMES, int(mel.shape[1]), wanted + wanted % 2)


def short_window_model(path: str, options: EngineOptions) -> WhisperModel:
    """A WhisperModel whose encoder sees no more silence than it needs and remembers the last sound it saw."""
    from faster_whisper import WhisperModel

    class ShortWindowModel(WhisperModel):  # type: ignore[misc,unused-ignore]  # without its library: Any
        full_window = False
        _seen: np.ndarray | None = None
        _encoded: Any = None

        def encode(self, features: np.ndarray) -> Any:
            if features.ndim == 3 and len(features) > 1:
                return super().encode(features)
            mel = features[0] if features.ndim == 3 else features
            if short and not self.full_window:
                mel = np.ascontiguousarray(mel[:, : useful_frames(mel)])
            if self._seen is None or self._seen.shape != mel.shape or not np.array_equal(self._seen, mel):
                self._encoded = super().encode(mel)
                self._seen = mel
            return self._encoded

        def generate_with_fallback(self, encoder_output: Any, prompt: list[int], tokenizer: Any, options: Any) -> Any:
            """The library's search, but no step of its ladder draws at random: the same sound has the same text."""
            search = super().generate_with_fallback
            calm = replace(options, temperatures=[0.0])
            answer = search(encoder_output, prompt, tokenizer, calm)
            if len(options.temperatures) == 1:
                return answer
            answers = [answer]
            for step in LADDER:
                if not in_doubt(answers[-1], options):
                    return answers[-1]
                output, logprob, _, ratio = search(encoder_output, prompt, tokenizer, replace(calm, **step))
                answers.append((output, logprob, UNPROMPTED, ratio))
            if not in_doubt(answers[-1], options):
                return answers[-1]
            varied = [one for one in answers if one[3] <= options.compression_ratio_threshold]
            output, logprob, _, ratio = max(varied or answers, key=lambda one: one[1])
            return output, logprob, UNPROMPTED, ratio

    on_cpu = options.device == "cpu"
    if not on_cpu:
        find_cublas()
    short = bool(options.extra.get("short_window", on_cpu))
    kind, _, index = options.device.partition(":")
    chosen = options.extra.get("compute_type") or options.extra.get("dtype")
    return ShortWindowModel(
        path,
        device=kind,
        device_index=int(index or 0),
        compute_type=str(chosen or ("int8" if on_cpu else "float16")),
        cpu_threads=options.threads,
        local_files_only=True,
    )


@lru_cache
def byte_letters() -> dict[int, str]:
    """The letter that stands for each byte in the vocabulary of a byte-level tokeniser (GPT-2's table)."""
    shown = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    hidden = [byte for byte in range(256) if byte not in shown]
    return {byte: chr(byte) for byte in shown} | {byte: chr(256 + number) for number, byte in enumerate(hidden)}


def longest_pieces(text: str, vocabulary: Mapping[str, int]) -> list[int]:
    """Tokens of a text, each the longest of the vocabulary that fits.

    The tokeniser that comes with the weights has lost merges: it makes “ the” of a space and “the”, which the model
    never says.
    """
    letters = "".join(byte_letters()[byte] for byte in text.encode())
    tokens, at = [], 0
    while at < len(letters):
        end = next(end for end in range(min(len(letters), at + LONGEST_TOKEN), at, -1) if letters[at:end] in vocabulary)
        tokens.append(vocabulary[letters[at:end]])
        at = end
    return tokens


def in_doubt(answer: tuple[Any, float, float, float], options: Any) -> bool:
    """Whether the library asks for a window again: its text repeats itself or is unlikely, and it is no silence."""
    output, logprob, _, ratio = answer
    unlikely = logprob < options.log_prob_threshold
    silent = unlikely and output.no_speech_prob > options.no_speech_threshold
    return not silent and (unlikely or ratio > options.compression_ratio_threshold)


class FasterWhisper:
    """Recogniser.

    Options: ``model`` (base of the registry, the path of a folder in CTranslate2's format, or a name of the model hub
    (small, large-v3 …) that is on this machine or, with ``extra["allow_download"]``, may be fetched), ``device``,
    ``threads``; ``extra``: ``beam_size`` (5), ``batch_size`` (windows at a time), ``dtype`` or CTranslate2's
    ``compute_type`` (int8 on the CPU, float16 on a graphics card), ``short_window`` (on the CPU).
    """

    name: ClassVar[str] = "faster-whisper"
    packages: ClassVar[tuple[str, ...]] = ("ctranslate2", "faster-whisper")
    card_packages: ClassVar[tuple[str, ...]] = CUBLAS
    licence: ClassVar[Licence] = Licence("MIT")
    memory_mb: ClassVar[int] = 6000
    """On a card, of large-v3: 1.5 G parameters in float16 and 16 windows at work, reckoned and rounded up."""
    memory_by_model: ClassVar[dict[str, int]] = {
        "tiny": 1000,
        "base": 1000,
        "small": 1500,
        "medium": 3500,
        "turbo": 3500,
    }
    defaults: ClassVar[dict[str, Any]] = {"beam_size": 5}

    @classmethod
    def weights(cls, options: EngineOptions) -> tuple[str, ...]:
        name = f"whisper-{options.model or 'base'}-ct2"
        return () if is_place(options.model) or may_download(options) or name not in catalog() else (name,)

    @classmethod
    def digests(cls, options: EngineOptions) -> dict[str, str]:
        """Hashes of weights that are not in the registry: a given folder, or the hub's copy (fetched if allowed)."""
        return {} if cls.weights(options) else {"given": digest(own_folder(options))}

    @classmethod
    def absent(cls, options: EngineOptions, language: str) -> tuple[str, ...]:
        if cls.weights(options) or may_download(options):
            return ()
        # The library would be imported to ask it, which takes a second.
        if is_place(options.model):
            here = Path(options.model).expanduser().exists()
        else:
            repo = hub_name(options.model)
            here = pulled(repo) is not None or hub_commit(repo, MAIN) != MAIN
        return () if here else (f"Whisper {options.model}",)

    @classmethod
    def repositories(cls, options: EngineOptions, language: str) -> tuple[str, ...]:
        """Where the library knows the size to be; nothing for what the registry has or the operator gives."""
        return () if is_place(options.model) or cls.weights(options) else (hub_name(options.model),)

    def __init__(self, options: EngineOptions, weights: WeightFiles) -> None:
        named = self.weights(options)
        try:
            folder = weights.path(named[0]) if named else own_folder(options)
            self._model: Any = short_window_model(str(folder), options)
        except ImportError as error:
            raise missing("recognizer", self.name, error) from error
        except (RuntimeError, ValueError) as error:
            if out_of_memory(error):
                raise too_large() from error
            raise EngineError(f"The Whisper model cannot be loaded: {summary(error)}.", code="engine_failed") from error
        self.dtype = str(self._model.model.compute_type)
        self._vocabulary = self._model.hf_tokenizer.get_vocab()
        self._beam_size = int(options.extra.get("beam_size", self.defaults["beam_size"]))
        self._batch = BatchSize(int(options.extra.get("batch_size", 1 if options.device == "cpu" else 16)))

    def language(self, audio: Audio) -> dict[str, float]:
        """Probability of each ISO 639-1 language for up to 30 s of mono 16 kHz audio; empty for no audio."""
        from faster_whisper.audio import pad_or_trim

        if not audio.size:
            return {}
        self._model.full_window = False
        mel = self._model.feature_extractor(audio)[:, :-1]
        with within_memory():
            encoded = self._model.encode(pad_or_trim(mel[:, :WINDOW_FRAMES]))
            probabilities = self._model.model.detect_language(encoded)[0]
        return {token[2:-2]: float(probability) for token, probability in probabilities}

    def transcribe(self, audio: Audio, language: str | None) -> list[Segment]:
        """Text of mono 16 kHz speech with word times, seconds from the start of ``audio``.

        Deterministic: beam search at temperature 0. A repetitive or doubtful answer is asked for again with the
        encoder's whole window and then with repeated phrases forbidden; the surer answer that does not repeat wins.

        Raises:
            UsageError: ``unknown_language`` when the model does not know ``language``.
            EngineError: ``out_of_memory``.
        """
        self._check(language)
        if audio.size < SHORTEST:
            return []
        with within_memory():
            return self._believed(audio, language)

    def _believed(self, audio: Audio, language: str | None) -> list[Segment]:
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

    def whole(
        self, audio: Audio, language: str | None, *, timed: bool, progress: Callable[[float], None] = lambda share: None
    ) -> list[Segment]:
        """The library's own call with its own defaults on mono 16 kHz sound of any length.

        Without ``timed`` a word's times are those of its segment and its probability is 0: neither is known.
        Deterministic: where the library is in doubt and draws at random (its ladder of temperatures), beams that may
        not repeat phrases are searched instead.

        Raises:
            UsageError: ``unknown_language``.
            EngineError: ``out_of_memory``.
        """
        self._check(language)
        segments: list[Segment] = []
        if audio.size < SHORTEST:
            return segments
        with within_memory():
            self._model.full_window = True
            timed = timed or language in UNSPACED
            decoded, _ = self._model.transcribe(
                audio, language=language, beam_size=self._beam_size, word_timestamps=timed
            )
            for item in decoded:
                words = [
                    Word(start=word.start, end=word.end, text=word.word, probability=word.probability)
                    for word in item.words or []
                ]
                if not timed:
                    parts = item.text.split()
                    words = [Word(start=item.start, end=item.end, text=f" {part}", probability=0) for part in parts]
                segments.append(Segment(item.text.strip(), words, item.avg_logprob, item.no_speech_prob))
                progress(min(1.0, item.end * SPEECH_RATE / len(audio)))
        return segments

    def skim(self, audio: Audio, language: str | None) -> list[Segment]:
        """:meth:`transcribe` of sound in which hardly anybody speaks: heard once, every phrase written once.

        Over noise a recogniser repeats itself until its window is full, and then is asked again: ten times the work for
        text that nobody believes.

        Raises:
            UsageError: ``unknown_language``.
            EngineError: ``out_of_memory``.
        """
        self._check(language)
        if audio.size < SHORTEST:
            return []
        with within_memory():
            return self._attempt(audio, language, full=True, no_repeat_ngram_size=4, max_new_tokens=SKIMMED_TOKENS)[0]

    def likelihoods(self, audio: Audio, texts: Sequence[str], language: str) -> list[float]:
        """Logarithm of the probability that what is said in up to 30 s of mono 16 kHz ``audio`` begins with each text.

        Raises:
            UsageError: ``unknown_language``.
            EngineError: ``out_of_memory``.
        """
        from faster_whisper.audio import pad_or_trim
        from faster_whisper.tokenizer import Tokenizer

        self._check(language)
        whisper = self._model.model
        tokenizer = Tokenizer(self._model.hf_tokenizer, whisper.is_multilingual, "transcribe", language)
        self._model.full_window = False
        mel = self._model.feature_extractor(audio)[:, :-1]
        answers = []
        with within_memory():
            encoded = self._model.encode(pad_or_trim(mel[:, :WINDOW_FRAMES]))
            for text in texts:
                tokens = longest_pieces(f" {text.strip()}", self._vocabulary)
                (told,) = whisper.align(encoded, tokenizer.sot_sequence, [tokens], min(mel.shape[1], WINDOW_FRAMES))
                answers.append(float(np.log(np.maximum(told.text_token_probs, LEAST_PROBABILITY)).sum()))
        return answers

    def transcribe_many(self, audios: Sequence[Audio], language: str | None) -> list[list[Segment]]:
        """:meth:`transcribe` of several pieces, ``batch_size`` at a time.

        In a batch every piece up to 30 s is heard with the encoder's whole window and is one segment. What is longer,
        or comes back repetitive or doubtful, is heard again alone.

        Raises:
            UsageError: ``unknown_language``.
            EngineError: ``out_of_memory``.
        """
        self._check(language)
        by_index: dict[int, list[Segment]] = {}
        short = [index for index, audio in enumerate(audios) if SHORTEST <= audio.size <= WINDOW_SAMPLES]
        if self._batch.size > 1 and len(short) > 1 and language is not None:
            heard = in_batches(
                short, lambda some: self._together(audios, some, language), self._batch, lambda i: float(len(audios[i]))
            )
            by_index = {index: segments for index, segments in zip(short, heard, strict=True) if segments is not None}
        return [
            by_index[index] if index in by_index else self.transcribe(audio, language)
            for index, audio in enumerate(audios)
        ]

    def _together(self, audios: Sequence[Audio], chosen: Sequence[int], language: str) -> list[list[Segment] | None]:
        """One run over the chosen pieces; None for a piece whose text is not to be believed."""
        from faster_whisper import BatchedInferencePipeline

        clips, parts, starts, at = [], [], [], 0
        for index in chosen:
            size = len(audios[index])
            # Half a sample more, for the pipeline cuts off the fraction; every piece begins on a frame.
            clips.append({"start": (at + 0.5) / SPEECH_RATE, "end": (at + size + 0.5) / SPEECH_RATE})
            starts.append(at // FRAME_SAMPLES)
            parts.append(np.pad(audios[index], (0, -size % FRAME_SAMPLES)))
            at += len(parts[-1])
        decoded, _ = BatchedInferencePipeline(self._model).transcribe(
            np.concatenate(parts),
            language=language,
            beam_size=self._beam_size,
            temperature=0.0,
            word_timestamps=True,
            vad_filter=False,
            clip_timestamps=clips,
            batch_size=len(chosen),
        )
        results: list[list[Segment] | None] = [[] for _ in chosen]
        for item in decoded:
            # It counts from where a piece begins in whole frames, cut off too: 0.29 s are 28 of them.
            number = bisect_right(starts, item.seek + 1) - 1
            begin = item.seek / FRAMES_PER_SECOND
            kept = results[number]
            if kept is None or item.compression_ratio > MAX_COMPRESSION_RATIO or item.avg_logprob < DOUBTFUL_LOGPROB:
                results[number] = None
                continue
            words = [
                Word(start=w.start - begin, end=w.end - begin, text=w.word, probability=w.probability)
                for w in item.words or []
            ]
            kept.append(Segment(item.text.strip(), words, item.avg_logprob, item.no_speech_prob))
        return results

    def _check(self, language: str | None) -> None:
        if language is not None and language not in self._model.supported_languages:
            raise UsageError(f"The recogniser does not know the language “{language}”.", code="unknown_language")

    def _attempt(
        self, audio: Audio, language: str | None, *, full: bool, **options: Any
    ) -> tuple[list[Segment], tuple[bool, float]]:
        """Segments, and how much to believe them: (does not repeat itself, mean log-probability)."""
        self._model.full_window = full
        decoded, _ = self._model.transcribe(
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
        for item in decoded:
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


REPOSITORIES = {
    "large": "Systran/faster-whisper-large-v3",
    "large-v3-turbo": "mobiuslabsgmbh/faster-whisper-large-v3-turbo",
    "turbo": "mobiuslabsgmbh/faster-whisper-large-v3-turbo",
    "distil-small.en": "Systran/faster-distil-whisper-small.en",
    "distil-medium.en": "Systran/faster-distil-whisper-medium.en",
    "distil-large-v2": "Systran/faster-distil-whisper-large-v2",
    "distil-large-v3": "Systran/faster-distil-whisper-large-v3",
    "distil-large-v3.5": "distil-whisper/distil-large-v3.5-ct2",
}
"""Sizes that the library, faster-whisper 1.2.1, has under another name than ``Systran/faster-whisper-SIZE``."""


def hub_name(model: str) -> str:
    """Where a size is on the model hub, as the library has it: ``large-v3`` → ``Systran/faster-whisper-large-v3``."""
    if "/" in model:
        return model
    return REPOSITORIES.get(model, f"Systran/faster-whisper-{model}")


def own_folder(options: EngineOptions) -> Path:
    """The folder that the options give, or the hub's copy on this machine, fetched only with ``allow_download``.

    Raises:
        EngineError: ``weights_missing``, ``weights_damaged``.
    """
    if is_place(options.model):
        return place(options.model)
    if (folder := pulled_folder(hub_name(options.model))) is not None:
        return folder
    from faster_whisper import download_model

    try:
        return Path(download_model(options.model, local_files_only=not may_download(options)))
    except (OSError, ValueError) as error:
        raise EngineError(
            f"Whisper {options.model} is not on this machine. Run `counterdub models pull {hub_name(options.model)}`, "
            "give a folder in CTranslate2's format as the model, or let it be fetched with allow_download.",
            code="weights_missing",
            model=options.model,
        ) from error
