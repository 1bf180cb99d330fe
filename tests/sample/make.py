"""Makes the bundled sample: ``python -m tests.sample.make`` from the root of the repository.

Writes ``sample.mp4`` and, beside it, ``truth/``: what was said when by whom, every cut, and the stems that the
sample's sound was mixed from. The lines are spoken by the project's own Kokoro engine, or read from
``--speech FOLDER`` (01.wav … in the order of the script), so that picture and mix can be remade without its weights.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import numpy as np
import soundfile as sf

from shared.audio.signal import resample, to_mono
from tests.sample import picture, script, sound

HERE = Path(__file__).parent
PEAK = 10 ** (-1.5 / 20)
"""Loudest sample of the mix; leaves room for what AAC adds."""


def speak() -> list[np.ndarray]:
    """All lines by Kokoro, mono 48 kHz."""
    from services.dubbing.engines.kokoro.engine import KokoroSynthesizer
    from shared.engines.protocols import EngineOptions, SpeechRequest
    from shared.weights import WeightFolder

    engine = KokoroSynthesizer(EngineOptions(threads=1, seed=script.SEED), WeightFolder())
    said = (
        engine.synthesize(SpeechRequest(line.text, script.LANGUAGE, line.voice, script.VOICE_SPEED, script.SEED))
        for line in script.LINES
    )
    return [resample(audio, engine.sample_rate, script.SAMPLE_RATE) for audio in said]


def read_speech(folder: Path) -> list[np.ndarray]:
    """Lines that were spoken before, mono 48 kHz."""
    lines = []
    for number in range(1, len(script.LINES) + 1):
        audio, rate = sf.read(str(folder / f"{number:02d}.wav"), dtype="float32", always_2d=True)
        lines.append(resample(to_mono(np.ascontiguousarray(audio.T)), rate, script.SAMPLE_RATE))
    return lines


def through_vorbis(audio: np.ndarray, path: Path) -> np.ndarray:
    """Write ``[2, samples]`` as Ogg Vorbis and return what a reader gets back.

    The mix is made from the decoded background, so the small lossy file is exactly what is in the sample.
    """
    with sf.SoundFile(
        str(path), "w", script.SAMPLE_RATE, 2, format="OGG", subtype="VORBIS", compression_level=0.55
    ) as f:
        for first in range(0, audio.shape[1], script.SAMPLE_RATE):  # long single writes overflow libvorbis' stack
            f.write(audio[:, first : first + script.SAMPLE_RATE].T)
    back, _ = sf.read(str(path), dtype="float32", always_2d=True)
    return np.ascontiguousarray(back.T)


def through_pcm16(audio: np.ndarray, path: Path) -> np.ndarray:
    """Write mono FLAC, 16 bit, and return what a reader gets back."""
    sf.write(str(path), audio, script.SAMPLE_RATE, subtype="PCM_16")
    return sf.read(str(path), dtype="float32")[0]


def write_video(path: Path, frames: Iterable[np.ndarray], audio: np.ndarray) -> None:
    """H.264 and AAC in mp4; ``audio`` is ``[2, samples]``."""
    with av.open(str(path), "w", options={"movflags": "+faststart"}) as out:
        # With x264's mbtree and its assembler the same pictures gave other bytes from run to run.
        how = {"crf": "25", "preset": "slow", "tune": "animation", "x264-params": "mbtree=0"}
        video = out.add_stream("libx264", rate=script.FPS, options=how)
        video.width, video.height, video.pix_fmt = script.WIDTH, script.HEIGHT, "yuv420p"
        video.codec_context.thread_count = 1
        track = out.add_stream("aac", rate=script.SAMPLE_RATE, layout="stereo")
        track.bit_rate = 160_000
        step, sent = script.SAMPLE_RATE // script.FPS, 0
        for picture_number, pixels in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            frame.pts = picture_number
            out.mux(video.encode(frame))
            part = av.AudioFrame.from_ndarray(
                np.ascontiguousarray(audio[:, sent : sent + step], dtype=np.float32), format="fltp", layout="stereo"
            )
            part.sample_rate, part.pts = script.SAMPLE_RATE, sent
            out.mux(track.encode(part))
            sent += step
        out.mux(video.encode(None))
        out.mux(track.encode(None))


def truth(spans: list[tuple[float, float]], gain: float) -> dict[str, Any]:
    """Everything that a test may want to compare with."""
    cuts, begin = script.cuts(), [0, *script.cuts()]
    lines = []
    for number, (line, (start, end)) in enumerate(zip(script.LINES, spans, strict=True), 1):
        overlaps = any(i != number and a < end and start < b for i, (a, b) in enumerate(spans, 1))
        crossed = [c for c in cuts if start < c / script.FPS < end]
        lines.append(
            {"number": number, "speaker": line.speaker, "voice": line.voice, "text": line.text}
            | {"start": round(start, 3), "end": round(end, 3), "overlap": overlaps, "crosses_cut": bool(crossed)}
        )
    shots = [
        {"scene": s.scene, "kind": s.kind, "first_frame": f, "frames": s.frames}
        | {"start": f / script.FPS, "end": (f + s.frames) / script.FPS}
        for s, f in zip(script.SHOTS, begin, strict=True)
    ]
    edges = [0.0, *sorted(t for span in spans for t in span), script.total_frames() / script.FPS]
    silent = [(a, b) for a, b in pairwise(edges) if not any(s < b and a < e for s, e in spans)]
    return {
        "language": script.LANGUAGE,
        "fps": script.FPS,
        "frames": script.total_frames(),
        "duration": script.total_frames() / script.FPS,
        "sample_rate": script.SAMPLE_RATE,
        "width": script.WIDTH,
        "height": script.HEIGHT,
        "speakers": [
            {"name": name, "voice": voice, "gender": {"f": "female", "m": "male"}[voice[1]]}
            for name, voice in script.VOICES.items()
        ],
        "shots": shots,
        "cuts": [
            {"frame": s["first_frame"], "time": s["start"], "kind": s["kind"]}
            | ({"fade_frames": script.FADE_FRAMES} if s["kind"] == "fade" else {})
            for s in shots[1:]
        ],
        "lines": lines,
        "without_speech": [{"start": round(a, 3), "end": round(b, 3)} for a, b in silent if b - a >= 3],
        "effects": [{"name": e.name, "start": e.start} for e in script.EFFECTS],
        "stems": {"background": "background.ogg"} | {n: f"{n.lower()}.flac" for n in script.VOICES},
        "mix": "background + each speaker's stem in both channels",
        "gain": round(gain, 6),
    }


def make(folder: Path, spoken: list[np.ndarray]) -> None:
    """Write the sample and its truth into ``folder``."""
    beside = folder / "truth"
    beside.mkdir(parents=True, exist_ok=True)
    stems, spans = sound.place_lines(spoken)
    background = sound.background(spans)
    gain = float(min(1.0, PEAK / np.abs(background + sum(stems.values())).max()))
    mix = through_vorbis(background * gain, beside / "background.ogg")
    for name, stem in stems.items():
        mix = mix + through_pcm16(stem * gain, beside / f"{name.lower()}.flac")
    write_video(folder / "sample.mp4", picture.render(stems), mix)
    facts = json.dumps(truth(spans, gain), indent=1, ensure_ascii=False)
    (beside / "truth.json").write_text(facts + "\n", encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description="Make the bundled sample and its truth.")
    parser.add_argument("--out", type=Path, default=HERE, help="folder to write to (default: beside this script)")
    parser.add_argument("--speech", type=Path, help="folder of 01.wav … spoken before, instead of the Kokoro engine")
    options = parser.parse_args()
    make(options.out, read_speech(options.speech) if options.speech else speak())


if __name__ == "__main__":
    main()
