"""The sample's sound: spoken lines put into rooms, and music and effects synthesised from nothing but numpy.

Everything is float32 at 48 kHz; speech is mono (the centre of the picture), background is ``[2, samples]``.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import groupby

import numpy as np
from scipy import signal as sps

from tests.sample.script import EFFECTS, FPS, LINES, SAMPLE_RATE, SEED, SHOTS, total_samples

SPEECH_LEVEL = 10 ** (-22 / 20)
"""RMS of a line where it is loud enough to count, full scale 1."""


OUTSIDE = ("house", "train", "sea")
"""Scenes with a sound of their own; the others share the room's."""


def _time(seconds: float) -> np.ndarray:
    return np.arange(round(seconds * SAMPLE_RATE), dtype=np.float64) / SAMPLE_RATE


def _noise(seconds: float, seed: int) -> np.ndarray:
    return np.random.default_rng((SEED, seed)).standard_normal(round(seconds * SAMPLE_RATE))


def _band(audio: np.ndarray, low: float, high: float, order: int = 2) -> np.ndarray:
    return sps.sosfilt(sps.butter(order, [low, high], "bandpass", fs=SAMPLE_RATE, output="sos"), audio)


def _hit(seconds: float, decay: float, attack: float = 0.002) -> np.ndarray:
    t = _time(seconds)
    return np.minimum(t / attack, 1.0) * np.exp(-t / decay)


def active(audio: np.ndarray, below_db: float = 40.0) -> tuple[int, int]:
    """First and last sample that is louder than the peak less ``below_db``, smoothed over 10 ms."""
    width = SAMPLE_RATE // 100
    envelope = np.sqrt(np.convolve(audio.astype(np.float64) ** 2, np.ones(width) / width, "same"))
    loud = np.flatnonzero(envelope > envelope.max() * 10 ** (-below_db / 20))
    return int(loud[0]), int(loud[-1]) + 1


def _room(speech: np.ndarray, outside: bool) -> np.ndarray:
    """A short tail of decaying noise: a furnished room, or next to nothing in the open air."""
    decay, wet = (0.03, 0.03) if outside else (0.07, 0.07)
    tail = _band(_noise(0.35, 1), 200, 6000) * _hit(0.35, decay, 0.004)
    tail *= wet / np.sqrt((tail**2).sum())
    tail[0] = 1.0
    return sps.fftconvolve(np.asarray(speech, dtype=np.float64), tail)


def place_lines(spoken: list[np.ndarray]) -> tuple[dict[str, np.ndarray], list[tuple[float, float]]]:
    """Lines (mono 48 kHz, in order) → a whole-length stem per speaker, and each line's measured start and end."""
    stems = {line.speaker: np.zeros(total_samples()) for line in LINES}
    spans = []
    for line, audio in zip(LINES, spoken, strict=True):
        first, last = active(audio)
        dry = audio[first:last].astype(np.float64)
        dry *= SPEECH_LEVEL / np.sqrt(np.mean(dry**2))
        edge = 240
        dry[:edge] *= np.linspace(0, 1, edge)
        dry[-edge:] *= np.linspace(1, 0, edge)
        wet = _room(dry, outside=line.start > 40)
        at = round(line.start * SAMPLE_RATE)
        stems[line.speaker][at : at + len(wet)] += wet[: total_samples() - at]
        spans.append((line.start, line.start + len(dry) / SAMPLE_RATE))
    return {name: stem.astype(np.float32) for name, stem in stems.items()}, spans


# --- music -----------------------------------------------------------------------------------------------------------

BEAT = 60 / 76
CHORDS = ((50, 53, 57, 60), (46, 53, 58, 62), (41, 53, 57, 60), (48, 52, 55, 60))
"""Four beats each: D minor seventh, B flat, F, C (MIDI notes, bass first)."""
TUNE = (74, 0, 72, 69, 70, 0, 69, 65, 69, 0, 67, 65, 67, 64, 60, 0)


def _hertz(note: int) -> float:
    return float(440 * 2 ** ((note - 69) / 12))


def _pad(note: int, seconds: float) -> np.ndarray:
    """Three detuned voices with soft partials, swelling and leaving slowly."""
    t = _time(seconds + 1.2)
    tone = sum(
        np.sin(2 * np.pi * _hertz(note) * k * d * t + k + 9 * d) / k**1.8
        for k in (1, 2, 3, 4)
        for d in (0.998, 1, 1.002)
    )
    return tone * np.minimum(1, t / 0.9) * np.clip((seconds + 1.2 - t) / 1.2, 0, 1)


def _pluck(note: int) -> np.ndarray:
    """A struck bar: frequency modulation whose brightness dies before the note does."""
    t, f = _time(1.8), _hertz(note)
    return np.sin(2 * np.pi * f * t + 1.5 * np.exp(-t / 0.15) * np.sin(2 * np.pi * 2 * f * t)) * _hit(1.8, 0.5, 0.004)


def music() -> np.ndarray:
    """Pads, a bass and a tune over the whole title, ``[2, samples]``, of about unit peak."""
    out = np.zeros((2, total_samples() + 4 * SAMPLE_RATE))

    def add(sound: np.ndarray, at: float, gain: float, pan: float = 0.0) -> None:
        first = round(at * SAMPLE_RATE)
        room = max(0, min(len(sound), out.shape[1] - first))
        out[0, first : first + room] += gain * np.sqrt((1 - pan) / 2) * sound[:room]
        out[1, first : first + room] += gain * np.sqrt((1 + pan) / 2) * sound[:room]

    bars = int(total_samples() / SAMPLE_RATE / (4 * BEAT)) + 1
    for bar in range(bars):
        chord, at = CHORDS[bar % 4], bar * 4 * BEAT
        for voice, note in enumerate(chord):
            add(_pad(note, 4 * BEAT), at, 0.10, (-0.5, 0.4, -0.2, 0.6)[voice])
        add(_pluck(chord[0] - 12), at, 0.5)
        for beat in range(4):
            note = TUNE[(bar % 4) * 4 + beat]
            if note:
                add(_pluck(note), at + beat * BEAT, 0.45, 0.25 * (-1) ** beat)
    return np.asarray(out[:, : total_samples()])


# --- effects ---------------------------------------------------------------------------------------------------------


def knock() -> np.ndarray:
    """Three knuckles on wood."""
    one = (_band(_noise(0.2, 2), 90, 900) + np.sin(2 * np.pi * 180 * _time(0.2))) * _hit(0.2, 0.03)
    out = np.zeros(round(0.9 * SAMPLE_RATE))
    for at in (0.0, 0.24, 0.48):
        first = round(at * SAMPLE_RATE)
        out[first : first + len(one)] += one
    return out


def step() -> np.ndarray:
    return _band(_noise(0.18, 3), 70, 1800) * _hit(0.18, 0.035)


def cup() -> np.ndarray:
    t = _time(0.6)
    return sum(np.sin(2 * np.pi * f * t) * g for f, g in ((2480, 1), (3910, 0.6), (5730, 0.3))) * _hit(0.6, 0.09)


def paper() -> np.ndarray:
    grain = np.repeat(np.abs(np.random.default_rng((SEED, 4)).standard_normal(40)) ** 2, SAMPLE_RATE // 80)
    return _band(_noise(0.5, 5), 1500, 8000) * grain * np.sin(np.pi * _time(0.5) / 0.5)


def bell() -> np.ndarray:
    """A clock striking: inharmonic partials, the high ones short."""
    t = _time(2.6)
    partials = ((0.5, 0.5, 1.4), (1, 1, 1.0), (1.19, 0.5, 0.8), (1.5, 0.3, 0.6), (2, 0.5, 0.5), (2.74, 0.3, 0.3))
    return sum(g * np.sin(2 * np.pi * 520 * r * t) * np.exp(-t / d) for r, g, d in partials) * np.minimum(1, t / 0.003)


def thunder() -> np.ndarray:
    t = _time(3.2)
    rolling = np.minimum(1, t / 0.3) * np.exp(-t) * (1 + 0.6 * np.sin(9 * t + 2 * t * t))
    return _band(_noise(3.2, 6), 25, 160) * rolling


def horn() -> np.ndarray:
    """A train's three-note horn, falling a little as it passes."""
    t = _time(1.6)
    phase = 2 * np.pi * np.cumsum(1 - 0.02 * t / 1.6) / SAMPLE_RATE
    tone = sum(np.sin(k * f * phase) / k for f in (277, 330, 415) for k in (1, 2, 3))
    return tone * np.minimum(1, t / 0.12) * np.clip((1.6 - t) / 0.5, 0, 1)


def whoosh() -> np.ndarray:
    t = _time(3.0)
    return _band(_noise(3.0, 7), 150, 2500) * np.exp(-(((t - 1.4) / 0.6) ** 2))


def gull() -> np.ndarray:
    t = _time(0.9)
    pitch = 1500 + 700 * np.sin(np.pi * np.minimum(t * 3.4 % 1.3, 1))
    cries = np.abs(np.sin(np.pi * t / 0.3)) * np.clip((0.9 - t) / 0.3, 0, 1)
    return np.sin(2 * np.pi * np.cumsum(pitch) / SAMPLE_RATE) * cries


SOUNDS: dict[str, tuple[Callable[[], np.ndarray], float]] = {
    "knock": (knock, -17), "step": (step, -26), "cup": (cup, -26), "paper": (paper, -26), "bell": (bell, -17),
    "thunder": (thunder, -16), "horn": (horn, -17), "whoosh": (whoosh, -15), "gull": (gull, -25),
}  # fmt: skip
"""Maker and peak level (dB full scale) of each effect."""


def effects() -> np.ndarray:
    """All one-off sounds, ``[2, samples]``."""
    out = np.zeros((2, total_samples()))
    for effect in EFFECTS:
        make, peak = SOUNDS[effect.name]
        sound = make()
        sound *= 10 ** ((peak + effect.gain_db) / 20) / np.abs(sound).max()
        first = round(effect.start * SAMPLE_RATE)
        room = min(len(sound), out.shape[1] - first)
        out[0, first : first + room] += np.sqrt(1 - effect.pan) * sound[:room]
        out[1, first : first + room] += np.sqrt(1 + effect.pan) * sound[:room]
    return out


def _bed(scene: str, seconds: float, seed: int) -> np.ndarray:
    """What a place sounds like all the time, ``[2, samples]``: rain, rain behind a wall, a train, the sea."""
    t, sides = _time(seconds), [_noise(seconds, seed), _noise(seconds, seed + 1)]
    if scene == "house":
        return np.stack([0.012 * _band(n, 400, 5000, 1) for n in sides])
    if scene == "train":
        wheels = 0.35 + np.exp(-((t % 0.62) / 0.05)) + 0.8 * np.exp(-(((t - 0.17) % 0.62) / 0.05))
        return np.stack([0.03 * wheels * _band(n, 60, 900, 1) for n in sides])
    if scene == "sea":
        swell = 0.5 + 0.5 * np.sin(2 * np.pi * t / 3.7 - 1)
        return np.stack([0.007 * (0.3 + swell) * _band(n, 250, 3000, 1) for n in sides])
    return np.stack([0.008 * _band(n, 200, 1800, 1) for n in sides])


def beds() -> np.ndarray:
    """The sound of every place, changing within 40 ms at the cuts, ``[2, samples]``."""
    out = np.zeros((2, total_samples()))
    edge, first = round(0.04 * SAMPLE_RATE), 0
    places = groupby(SHOTS, lambda shot: shot.scene if shot.scene in OUTSIDE else "inside")
    for number, (scene, shots) in enumerate(places):
        count = sum(shot.frames for shot in shots) * SAMPLE_RATE // FPS
        sound = _bed(scene, count / SAMPLE_RATE, 100 + 2 * number)
        sound[:, :edge] *= np.linspace(0, 1, edge)
        sound[:, -edge:] *= np.linspace(1, 0, edge)
        out[:, first : first + count] += sound
        first += count
    return out


def background(spans: list[tuple[float, float]]) -> np.ndarray:
    """Music (lower while somebody speaks, as a mixer would have it), effects and places, float32 ``[2, samples]``."""
    t = np.arange(total_samples()) / SAMPLE_RATE
    talk = np.zeros(total_samples())
    for start, end in spans:
        talk = np.maximum(talk, np.clip(np.minimum(t - start + 0.6, end + 0.9 - t) / 0.5, 0, 1))
    level = 0.2 * (1 - 0.62 * talk) * np.clip(t / 0.4, 0, 1) * np.clip((t[-1] - t) / 1.5, 0, 1)
    return (music() * level + effects() + beds()).astype(np.float32)
