"""One world on disk: what a training is fed with and what probes read.

train.npy          float16 [shots, tracks, 64, 126], power mels in dB
train-frames.npy   uint8 [shots, 13, 32, 32, 3]
train.npz          title, clip, talk, voice_by, speech_db … of each shot
probe…, test…      the same of shots that no training sees
items.npz          voices counted, languages
world.json         tracks of each part, and what the world was drawn by
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from shared.audio.signal import resample
from shared.core.records import SAMPLE_RATE as MEDIA_RATE
from shared.engines.protocols import EngineOptions, engine_class
from shared.weights import WeightFolder
from trainer.frontend.mel import MelFrontEnd
from trainer.reproduce.cinema.pictures import Looks, at_pictures, band_statistics, draw, fit_looks, latent
from trainer.reproduce.cinema.plot import PlotShot, draw_shots
from trainer.reproduce.cinema.sounds import Clips, mels
from trainer.reproduce.cinema.speech import SLOTS, VOICES, SentenceBank
from trainer.reproduce.cinema.words import LANGUAGES
from trainer.reproduce.scale import (
    FRAMES,
    LANGUAGE_OF,
    MEL_FRAMES,
    SAMPLE_RATE,
    SHOT_SAMPLES,
    SIZE,
    TRACKS,
    Scale,
    World,
)

ORACLE = "none"
"""Instead of a separator: speech 25 dB down."""
AT_ONCE = 12
"""Shots whose tracks become mels together."""
COUNTED = {"probe": 320, "test": 160}
SAID = {"probe": 480, "test": 240}
WINDOW = 3 * SAMPLE_RATE

Separate = Callable[[np.ndarray], np.ndarray]
"""float32 ``[samples]`` at 16 kHz → the same without its speech."""


def make_world(folder: Path, world: World, scale: Scale, bank: SentenceBank, clips: Clips, front: MelFrontEnd) -> None:
    """Draw a world into a folder that exists; ``world.json`` comes last."""
    trained, held = np.flatnonzero(clips.fold != world.fold), np.flatnonzero(clips.fold == world.fold)
    looks, statistics = looks_of(clips, world, trained, front)
    separate = separator(scale.separator) if world.separated else None
    parts = {}
    for part, usable, titles in (
        ("train", trained, scale.titles),
        ("probe", trained, scale.probe_titles),
        ("test", held, scale.test_titles),
    ):
        shots = draw_shots(bank, clips, usable, world, part, titles, scale.shots)
        tracks = tracks_of(part, world.separated)
        heard = np.lib.format.open_memmap(
            folder / f"{part}.npy", "w+", np.float16, (len(shots), len(tracks), front.settings.mels, MEL_FRAMES)
        )
        for first in range(0, len(shots), AT_ONCE):
            some = shots[first : first + AT_ONCE]
            waves = np.stack([sounds_of(shot, bank, clips, tracks, separate) for shot in some])
            mel = mels(waves.reshape(-1, SHOT_SAMPLES), front)
            heard[first : first + len(some)] = mel.reshape(len(some), len(tracks), *mel.shape[1:])
        heard.flush()
        np.save(folder / f"{part}-frames.npy", frames_of(shots, bank, clips, looks, statistics, world.face))
        np.savez(folder / f"{part}.npz", **columns(shots, clips))
        parts[part] = tracks
    np.savez(folder / "items.npz", **items(bank, clips, world, trained, held, front))
    (folder / "world.json").write_text(json.dumps({"tracks": parts, **world._asdict()}), encoding="utf-8")


def looks_of(clips: Clips, world: World, trained: np.ndarray, front: MelFrontEnd) -> tuple[Looks, np.ndarray]:
    """How sounds look, fitted on the training's clips, and the band statistics of all, ``[N, 128]``."""
    every = [mels(clips.wave(number)[None], front) for number in range(len(clips.label))]
    statistics = band_statistics(np.concatenate(every))
    return fit_looks(statistics[trained], world.seed), statistics


def frames_of(
    shots: Sequence[PlotShot], bank: SentenceBank, clips: Clips, looks: Looks, statistics: np.ndarray, face: bool
) -> np.ndarray:
    """The pictures of shots, uint8 ``[shots, 13, 32, 32, 3]``."""
    frames = np.empty((len(shots), FRAMES, SIZE, SIZE, 3), np.uint8)
    for at, shot in enumerate(shots):
        factors = latent(looks, statistics[shot.clip], np.random.default_rng([shot.seed, 0]))
        frames[at] = draw(shot, factors, loudness_of(clips.wave(shot.clip)), opening_of(shot, bank), face)
    return frames


def tracks_of(part: str, separated: bool) -> list[str]:
    if part == "probe":
        return ["orig"]
    return [track for track in TRACKS if track != "background" or (separated and part == "train")]


def sounds_of(
    shot: PlotShot, bank: SentenceBank, clips: Clips, tracks: Sequence[str], separate: Separate | None
) -> np.ndarray:
    """Every track of a shot, float32 ``[tracks, 80000]``: same background, times and ratio, other voices and words."""
    behind = clips.wave(shot.clip)
    sounds = {track: behind + speech_of(shot, bank, track) for track in LANGUAGE_OF if track in tracks}
    if "background" in tracks:
        sounds["background"] = (
            separate(sounds["orig"]) if separate else behind + 10 ** (-25 / 20) * speech_of(shot, bank, "orig")
        )
    return np.stack([sounds[track] for track in tracks])


def speech_of(shot: PlotShot, bank: SentenceBank, track: str, role: int | None = None) -> np.ndarray:
    """All that is said in a track, or by one role; float32 ``[80000]``."""
    whole = np.zeros(SHOT_SAMPLES, np.float32)
    for line in shot.lines:
        if role is None or line.role == role:
            wave = bank.wave(line.sentences[track])
            start = min(round(line.start * SAMPLE_RATE), SHOT_SAMPLES - len(wave))
            whole[start : start + len(wave)] += wave * 10 ** (shot.speech_db / 20)
    return whole


def separator(name: str) -> Separate | None:
    """The residue of one of the separation engines; None: an oracle."""
    if name == ORACLE:
        return None
    engine = engine_class("separator", name)(EngineOptions(threads=1), WeightFolder())

    def separate(mix: np.ndarray) -> np.ndarray:
        wide = resample(mix, SAMPLE_RATE, MEDIA_RATE)[None]
        return np.asarray(resample((wide - engine.vocals(wide))[0], MEDIA_RATE, SAMPLE_RATE), np.float32)

    return separate


def loudness_of(wave: np.ndarray) -> np.ndarray:
    """0 to 1 at each picture, 40 dB below the loudest to the loudest."""
    level = 20 * np.log10(envelope(wave) + 1e-5)
    return at_pictures(np.clip((level - level.max()) / 40 + 1, 0, 1))


def opening_of(shot: PlotShot, bank: SentenceBank) -> np.ndarray:
    """Of the mouth of the role that is seen, by what it says in English; ``[13]``."""
    spoken = envelope(speech_of(shot, bank, "orig", shot.role))
    return np.clip(at_pictures(spoken) / max(float(np.quantile(spoken, 0.95)), 1e-4), 0, 1)


def envelope(wave: np.ndarray) -> np.ndarray:
    """RMS of each 40 ms, ``[126]``."""
    step = SAMPLE_RATE // 25
    padded = np.pad(wave, (step // 2, step))[: MEL_FRAMES * step]
    levels: np.ndarray = np.sqrt(np.square(padded.reshape(MEL_FRAMES, step)).mean(1))
    return levels


def columns(shots: Sequence[PlotShot], clips: Clips) -> dict[str, Any]:
    """What is known of each shot; ``voice_by`` says who speaks its tracks."""
    return {
        "title": np.array([shot.title for shot in shots]),
        "label": clips.label[[shot.clip for shot in shots]],
        "source": clips.source[[shot.clip for shot in shots]],
        "talk": np.array([bool(shot.lines) for shot in shots]),
        "voice_by": np.array([shot.voice_by for shot in shots]),
        "speech_db": np.array([shot.speech_db for shot in shots]),
    }


def items(
    bank: SentenceBank, clips: Clips, world: World, trained: np.ndarray, held: np.ndarray, front: MelFrontEnd
) -> dict[str, Any]:
    """Sounds of 3 s for two more probes: one to four voices at once over a quiet background, and one language each."""
    random = np.random.default_rng([world.seed, 7])
    tested = np.array([VOICES[voice].tested for voice in bank.voice])
    cheap = np.array([VOICES[voice].by == "espeak" for voice in bank.voice])
    arrays: dict[str, np.ndarray] = {}
    for part, usable in (("probe", trained), ("test", held)):
        there = np.flatnonzero((tested == (part == "test")) & cheap)
        count = np.arange(COUNTED[part]) % 4 + 1
        waves = np.stack(
            [crowd(bank, there, int(voices), clips.wave(int(random.choice(usable))), random) for voices in count]
        )
        sentences = random.choice(there, SAID[part], replace=False) if len(there) >= SAID[part] else there
        arrays |= {
            f"{part}_count": count,
            f"{part}_count_mel": mels(waves, front),
            f"{part}_language": bank.language[sentences],
            f"{part}_language_voice": bank.voice[sentences] * len(LANGUAGES) + bank.language[sentences],
            f"{part}_language_mel": mels(np.stack([alone(bank.wave(int(one)), random) for one in sentences]), front),
        }
    return arrays


def crowd(
    bank: SentenceBank, there: np.ndarray, voices: int, behind: np.ndarray, random: np.random.Generator
) -> np.ndarray:
    """Different voices at once, ±3 dB, over a background 12 dB below one of them; ``[48000]``."""
    whole: np.ndarray = behind[:WINDOW] * np.float32(10 ** (-12 / 20))
    # With words of their own in any language: the number of voices must be heard, not the words.
    for voice in random.choice(np.unique(bank.voice[there]), voices, replace=False):
        wave = bank.wave(int(random.choice(there[bank.voice[there] == voice])))
        whole += alone(wave, random) * np.float32(10 ** (random.uniform(-3, 3) / 20))
    return whole


def alone(wave: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Somewhere in 3 s of silence."""
    start = int(random.integers(WINDOW - len(wave) + 1))
    return np.pad(wave, (start, WINDOW - len(wave) - start))


assert max(SLOTS) * SAMPLE_RATE <= WINDOW
