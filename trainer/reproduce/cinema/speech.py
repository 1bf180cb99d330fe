"""The bank of sentences that shots are made of: every voice in every language, stretched to one of three lengths."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from shared.audio.signal import resample
from shared.audio.stretch import stretch
from shared.engines.protocols import EngineOptions, SpeechRequest, engine_class
from shared.weights import WeightFolder
from trainer.reproduce.cinema.espeak_voice import SAMPLE_RATE as ESPEAK_RATE
from trainer.reproduce.cinema.espeak_voice import VARIANTS, EspeakVoice
from trainer.reproduce.cinema.words import LANGUAGES, OBJECTS, TRAINED, sentence
from trainer.reproduce.scale import SAMPLE_RATE

SLOTS = (1.7, 2.1, 2.6)
"""Lengths of utterances, seconds. Every sentence of every track, the original's too, is stretched to one of them."""
LEVEL = 0.05
"""RMS of the parts of a sound that are heard."""
BY = ("espeak", "kokoro")

COLOURS = ("am_onyx", "em_alex", "jm_kumo", "af_bella", "ff_siwis", "jf_alpha", "bm_george", "bf_emma")
"""Kokoro's speakers: the same colours of sound in every language; the last two in tests only."""
PROSODY = {
    "en": ("am_adam", "af_heart"),
    "es": ("em_alex", "ef_dora"),
    "fr": ("ff_siwis", "ff_siwis"),
    "ja": ("jm_kumo", "jf_alpha"),
}
"""Whose melody a man's and a woman's colour speak a language with."""


class SpeakerVoice(NamedTuple):
    name: str
    by: str
    female: bool
    tested: bool
    """Heard in tests only."""


VOICES = (
    *(SpeakerVoice(f"{v.name}@{v.pitch}", "espeak", v.female, v.tested) for v in VARIANTS),
    *(SpeakerVoice(name, "kokoro", name[1] == "f", name.startswith("b")) for name in COLOURS),
)


class SentenceBank(NamedTuple):
    """``N`` utterances, one column each.

    Attributes:
        samples: int16 ``[total]`` at 16 kHz, all one behind the other; may be mapped from a file.
        start: Of each in ``samples``, ``[N]``.
        length: In samples, ``[N]``.
        voice: Index into :data:`VOICES`, ``[N]``.
        language: Index into :data:`trainer.reproduce.cinema.words.LANGUAGES`, ``[N]``.
        slot: Index into :data:`SLOTS`, ``[N]``.
    """

    samples: np.ndarray
    start: np.ndarray
    length: np.ndarray
    voice: np.ndarray
    language: np.ndarray
    slot: np.ndarray

    def wave(self, number: int) -> np.ndarray:
        """float32 ``[samples]``, :data:`LEVEL` loud where it speaks."""
        start = int(self.start[number])
        return np.asarray(self.samples[start : start + int(self.length[number])], np.float32) / 32768


def levelled(wave: np.ndarray) -> np.ndarray:
    """Bring the RMS of the frames within 30 dB of the loudest to :data:`LEVEL`; silence stays."""
    frame = SAMPLE_RATE // 50
    power = np.square(wave[: len(wave) // frame * frame].reshape(-1, frame)).mean(1)
    heard = power[power > max(power.max(initial=0.0) * 1e-3, 1e-12)]
    if not len(heard):
        return wave
    return np.asarray(np.clip(wave * (LEVEL / np.sqrt(heard.mean())), -1, 1), np.float32)


def speak(by: str, language: str, sentences: int, path: Path) -> None:
    """Speak every voice's sentences of a language and write them to one ``.npz``.

    Raises:
        EngineError: ``engine_missing``, ``engine_failed``, ``weights_missing``.
    """
    say = kokoro(language) if by == "kokoro" else espeak(language)
    waves, voices, slots = [], [], []
    for number, voice in enumerate(VOICES):
        if voice.by != by:
            continue
        random = np.random.default_rng([number, LANGUAGES.index(language)])
        first, last = (TRAINED, len(OBJECTS["en"].split("|"))) if voice.tested else (0, TRAINED)
        for at in range(sentences):
            subject, thing, place = (int(word) for word in random.integers(first, last, 3))
            wave = say(number, sentence(language, subject, thing, place))
            slot = at % len(SLOTS)
            waves.append(levelled(stretch(trimmed(wave), round(SLOTS[slot] * SAMPLE_RATE), SAMPLE_RATE)))
            voices.append(number)
            slots.append(slot)
    part = path.with_suffix(".part.npz")
    np.savez(
        part,
        samples=(np.concatenate(waves) * 32767).astype(np.int16),
        length=[len(wave) for wave in waves],
        voice=voices,
        slot=slots,
    )
    part.replace(path)


def trimmed(wave: np.ndarray) -> np.ndarray:
    """Without the silence at both ends."""
    loud = np.flatnonzero(np.abs(wave) > 0.02 * np.abs(wave).max(initial=1e-9))
    return wave[loud[0] : loud[-1] + 1] if len(loud) else wave


def espeak(language: str) -> Callable[[int, str], np.ndarray]:
    voice = EspeakVoice()
    return lambda number, text: resample(voice(text, language, VARIANTS[number]), ESPEAK_RATE, SAMPLE_RATE)


def kokoro(language: str) -> Callable[[int, str], np.ndarray]:
    """The synthesiser that the dubbing pipeline uses by default."""
    engine = engine_class("synthesizer", "kokoro")(EngineOptions(threads=1), WeightFolder())

    def say(number: int, text: str) -> np.ndarray:
        voice = VOICES[number]
        spoken = engine.synthesize(SpeechRequest(text, language, f"{voice.name}/{PROSODY[language][voice.female]}"))
        return resample(spoken, engine.sample_rate, SAMPLE_RATE)

    return say


def open_bank(parts: dict[tuple[str, str], Path]) -> SentenceBank:
    """All parts as one; keys are who speaks and the language."""
    columns: dict[str, list[np.ndarray]] = {name: [] for name in ("samples", "length", "voice", "language", "slot")}
    for (_, language), path in sorted(parts.items()):
        with np.load(path) as part:
            for name in ("samples", "length", "voice", "slot"):
                columns[name].append(part[name])
            columns["language"].append(np.full(len(part["length"]), LANGUAGES.index(language)))
    whole = {name: np.concatenate(values) for name, values in columns.items()}
    start = np.cumsum(np.r_[0, whole["length"][:-1]])
    return SentenceBank(start=start, **whole)
