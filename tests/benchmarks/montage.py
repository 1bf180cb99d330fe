"""Films put together from real pictures, sounds and speech, of as many shots as a tiny training needs.

A shot is 4 s of one of three kinds: archery, golf or applause as pictures (UCF101, HMDB51), with each kind one class of
ESC-10. Every shot has a recording of its own and a window of a clip; over it somebody says a part of one sentence,
whatever the kind. So kinds can be learnt from sound and picture, and only they.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import av
import numpy as np
import soundfile as sf

from shared.audio.signal import resample
from shared.core.records import SAMPLE_RATE
from shared.media.muxing import mux

FPS, FRAMES, SIZE = 25, 100, (320, 240)
KINDS = {"v_Archery": "003 - Sea waves", "v_GolfSwing": "008 - Chainsaw", "clap": "009 - Rooster"}
SAID = ((0.0, 3.3), (5.2, 7.8), (7.9, 10.7))
"""Parts of the sentence, seconds."""
SPEECH_DB = 6.0
"""Speech above the background."""


def make_films(data: Path, folder: Path, films: int, shots: int) -> list[Path]:
    """``films`` videos of ``shots`` shots each."""
    clips = {kind: [frames(path) for path in sorted((data / "silent-video").glob(f"*{kind}*"))] for kind in KINDS}
    sounds = {kind: sorted((data / "esc10" / sound).glob("*.ogg")) for kind, sound in KINDS.items()}
    sentence = load(data / "speech" / "jfk.flac")
    draw, made = np.random.default_rng(7), []
    for film in range(films):
        pictures, waves = [], []
        for shot in range(shots):
            kind = list(KINDS)[shot % len(KINDS)]
            clip = clips[kind][draw.integers(len(clips[kind]))]
            first = draw.integers(max(1, len(clip) - FRAMES))
            # Clips shorter than a shot are shown to and fro.
            there_and_back = [*clip, *clip[::-1]]
            pictures += [there_and_back[(first + number) % len(there_and_back)] for number in range(FRAMES)]
            background = load(sounds[kind][film * (shots // len(KINDS)) + shot // len(KINDS)])
            waves.append(scene(background, sentence, SAID[draw.integers(len(SAID))]))
        made.append(write(folder / f"montage{film}.mp4", pictures, np.concatenate(waves)))
    return made


def scene(background: np.ndarray, sentence: np.ndarray, part: tuple[float, float]) -> np.ndarray:
    """4 s mono: speech in the middle of its background, both at a level that does not tell the kind."""
    size = FRAMES * SAMPLE_RATE // FPS
    wave = np.resize(background, size)
    wave = 0.05 * wave / (float(np.sqrt(np.mean(wave**2))) + 1e-9)
    said = sentence[round(part[0] * SAMPLE_RATE) : round(part[1] * SAMPLE_RATE)]
    said = 0.05 * 10 ** (SPEECH_DB / 20) * said / float(np.sqrt(np.mean(said**2)))
    first = (size - said.size) // 2
    wave[first : first + said.size] += said
    return np.clip(wave, -1, 1)


def load(path: Path) -> np.ndarray:
    """Mono 48 kHz."""
    audio, rate = sf.read(path, dtype="float32", always_2d=True)
    return resample(audio.mean(axis=1), rate, SAMPLE_RATE)


def frames(path: Path) -> list[np.ndarray]:
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


def write(path: Path, pictures: Sequence[np.ndarray], wave: np.ndarray) -> Path:
    silent = path.with_suffix(".silent.mp4")
    with av.open(str(silent), "w") as container:
        stream = container.add_stream("libx264", rate=FPS, options={"crf": "20", "preset": "veryfast"})
        stream.width, stream.height, stream.pix_fmt = *SIZE, "yuv420p"
        for picture in pictures:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
    mux(silent, wave[None].astype(np.float32), path, "en", 128_000)
    silent.unlink()
    return path
