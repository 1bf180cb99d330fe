"""Peak memory of a title of two hours against one of ten minutes: nothing may grow with the length.

The engines are empty shells (:mod:`tests.benchmarks.hollow`), the picture is the sample's at thumbnail size, both
repeated by copying packets.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import pytest

from tests.benchmarks.running import write_result
from tests.conftest import ROOT

pytestmark = pytest.mark.bench
SHORT, LONG = 600.0, 7200.0
MAX_GROWTH = 1.3
WIDTH, HEIGHT, FPS = 96, 54, 5


def thumbnail(source: Path, out: Path) -> Path:
    """The video at thumbnail size with one channel of sound: cheap to decode two hours of."""
    with av.open(str(source)) as given, av.open(str(out), "w") as made:
        picture = made.add_stream("libx264", rate=FPS, options={"preset": "veryfast", "g": "25", "bf": "0"})
        picture.width, picture.height, picture.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        sound = made.add_stream("aac", rate=48_000, layout="mono", bit_rate=64_000)
        mono = av.AudioResampler("fltp", "mono", 48_000)
        seen = 0
        for frame in given.decode(given.streams.video[0], given.streams.audio[0]):
            if isinstance(frame, av.AudioFrame):
                for block in mono.resample(frame):
                    made.mux(sound.encode(block))
            elif isinstance(frame, av.VideoFrame) and frame.time * FPS >= seen:
                small = frame.reformat(WIDTH, HEIGHT, "yuv420p")
                small.pts, small.time_base = seen, Fraction(1, FPS)
                made.mux(picture.encode(small))
                seen += 1
        made.mux(sound.encode(None))
        made.mux(picture.encode(None))
    return out


def repeated(source: Path, out: Path, seconds: float) -> Path:
    """The same video over and over by copying packets, for at least ``seconds``."""
    with av.open(str(source)) as given:
        length = max(float(stream.duration * stream.time_base) for stream in given.streams)
        packets = [packet for packet in given.demux() if packet.size]
        packets.sort(key=lambda packet: packet.dts * packet.time_base)
        with av.open(str(out), "w") as made:
            copies = {stream.index: made.add_stream_from_template(stream) for stream in given.streams}
            bases = {stream.index: stream.time_base for stream in given.streams}
            # A muxed packet comes back with the times and the time base of its new stream.
            kept = [(packet, packet.stream_index, packet.pts, packet.dts) for packet in packets]
            last = dict.fromkeys(copies, -(10**9))
            for turn in range(int(-(-seconds // length))):
                for packet, index, shown, decoded in kept:
                    shift = round(turn * length / bases[index])
                    if decoded + shift <= last[index]:
                        continue  # the encoder's priming, again
                    last[index] = decoded + shift
                    packet.stream, packet.time_base = copies[index], bases[index]
                    packet.pts, packet.dts = shown + shift, decoded + shift
                    made.mux(packet)
    return out


def run(video: Path, out: Path) -> dict[str, Any]:
    command = [sys.executable, "-m", "tests.benchmarks.hollow", str(video), str(out)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_two_hours_need_no_more_memory_than_ten_minutes(sample: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    work = tmp_path_factory.mktemp("memory")
    small = thumbnail(sample, work / "small.mp4")
    runs = {}
    for name, seconds in (("ten_minutes", SHORT), ("two_hours", LONG)):
        runs[name] = run(repeated(small, work / f"{name}.mp4", seconds), work / name)
    growth = runs["two_hours"]["peak_kilobytes"] / runs["ten_minutes"]["peak_kilobytes"]
    path = write_result(tmp_path_factory, "memory", {"growth": growth, "runs": runs})
    print()
    for name, found in runs.items():
        raised = sorted(found["raised_by"].items(), key=lambda item: -item[1])[:5]
        by = ", ".join(f"{stage} +{kilobytes / 1024:.0f}" for stage, kilobytes in raised)
        dear = sorted(found["stages"].items(), key=lambda item: -item[1]["seconds"])[:5]
        shares = ", ".join(f"{stage} {spent['seconds'] / found['seconds']:.0%}" for stage, spent in dear)
        print(f"{name}: {found['peak_kilobytes'] / 1024:.0f} MB ({by}); {found['accepted']} rows; time {shares}")
    print(f"growth {growth:.2f}, must be ≤ {MAX_GROWTH}\n{path}")
    assert all(one["accepted"] > 0 for one in runs.values())
    assert growth <= MAX_GROWTH
