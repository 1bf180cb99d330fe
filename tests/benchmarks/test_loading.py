"""What loading costs: clips a second and core beside the plain way, cores that a GPU needs, the sampler at 20 M shots.

The plain way is what training code of the field does: for each of both windows open the original file, seek, decode
with PyAV, scale, crop and normalise with torch, mel on the CPU. Ours reads the shards made of the same originals. A
clip is one shot with both windows of picture and sound. All figures are processor time of one thread, in one run.
``COUNTERDUB_BENCH_SHOTS`` sets another size for the sampler.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
import tracemalloc
from collections.abc import Callable, Iterator
from fractions import Fraction
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, cast

import av
import numpy as np
import psutil
import pytest
import torch

from shared.media.aac import AacEncoder
from shared.media.opened_file import as_float
from tests.conftest import ROOT
from trainer.data.batches import Batches, BatchPlan
from trainer.data.feed import ShardFeed, make_feed
from trainer.data.picture import ShotWindow, decode_windows
from trainer.data.sampler import epoch_order
from trainer.frontend.windows import uniform
from trainer.recipe import Recipe, recipe_from
from trainer.shards import encoding
from trainer.shards.dubs import plan_dubs
from trainer.shards.encoding import X264
from trainer.shards.shard_building import make_shards

pytestmark = pytest.mark.bench

SIZES = {"270p": (480, 270), "720p": (1280, 720), "1080p": (1920, 1080)}
"""The sample is 270p; larger originals are made by scaling it up."""

SECONDS = 24
"""Of the sample that the originals hold."""

MIN_RATIO = 5.0
"""Against originals of 720p, the smaller of the usual ones."""

SHOTS = int(os.environ.get("COUNTERDUB_BENCH_SHOTS", "20000000"))
TITLES = SHOTS // 700 + 1
APPETITES = (50, 100, 200, 400, 800)
"""Clips a second that a GPU may take; what one really takes depends on towers and card."""


@pytest.fixture(scope="module")
def originals(sample: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The sample as a film of each size, encoded as films are: x264's defaults, AAC."""
    folder = tmp_path_factory.mktemp("originals")
    return {name: scaled_up(sample, folder / f"{name}.mp4", size) for name, size in SIZES.items()}


def scaled_up(source: Path, target: Path, size: tuple[int, int]) -> Path:
    with av.open(str(source)) as given, av.open(str(target), "w") as made:
        picture: Any = made.add_stream("libx264", rate=25)
        picture.options = {"preset": "veryfast", "crf": "21"}
        picture.width, picture.height, picture.pix_fmt = *size, "yuv420p"
        sound = AacEncoder(made, 1, 128_000, "en")
        for number, frame in enumerate(islice(given.decode(video=0), 25 * SECONDS)):
            larger = frame.reformat(*size, format="yuv420p", interpolation="BICUBIC")
            larger.pts, larger.time_base, larger.pict_type = number, Fraction(1, 25), 0
            made.mux(picture.encode(larger))
        made.mux(picture.encode(None))
        given.seek(0)
        for heard in given.decode(audio=0):
            if heard.time > SECONDS:
                break
            made.mux(sound.encode(as_float(heard).T[:1].copy()))
        made.mux(sound.finish())
    return target


@pytest.fixture(scope="module")
def shards(originals: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Shards of each original, in shots of about 7.6 s."""
    made = {}
    for name, path in originals.items():
        folder = tmp_path_factory.mktemp(f"film-{name}")
        (folder / path.name).symlink_to(path)
        made[name] = tmp_path_factory.mktemp(f"shards-{name}")
        make_shards(plan_dubs(folder, "en"), made[name])
    return made


def recipe(**data: Any) -> Recipe:
    settings = {"batch_size": 2, "same_title": 0, "held_out": 0, "secondary": "same", "workers": 0, **data}
    return recipe_from({"data": settings})


def plain_clip(path: Path, random: np.random.Generator) -> list[torch.Tensor]:
    """Both windows of one shot out of the original."""
    shot = float(random.uniform(0, SECONDS - 8))
    return [part for _ in range(2) for part in plain_window(path, shot + float(random.uniform(0, 4.6)), random)]


def plain_window(path: Path, start: float, random: np.random.Generator) -> list[torch.Tensor]:
    wanted = start + uniform(75, 16) / 25
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        stream.thread_count = 1
        container.seek(int(start * 1e6))
        images: list[np.ndarray] = []
        for frame in container.decode(stream):
            while len(images) < 16 and frame.time >= wanted[len(images)] - 0.02:
                images.append(frame.to_ndarray(format="rgb24"))
            if len(images) == 16:
                break
        container.seek(int(start * 1e6))
        waves = []
        for heard in container.decode(audio=0):
            waves.append(as_float(heard)[:, 0])
            if heard.time > start + 3.05:
                break
    pixels = torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2).float() / 255
    side = int(random.integers(256, 321))
    scale = side / min(pixels.shape[-2:])
    pixels = torch.nn.functional.interpolate(pixels, scale_factor=scale, mode="bilinear", antialias=True)
    y, x = (int(random.integers(0, length - 224 + 1)) for length in pixels.shape[-2:])
    pixels = (pixels[..., y : y + 224, x : x + 224] - 0.45) / 0.225
    return [pixels, mel(torch.from_numpy(np.concatenate(waves))[:144_000][None])]


WINDOW = torch.hann_window(1024)
FILTERS = torch.rand(513, 96)
"""Any matrix of this size costs the same."""


def mel(waves: torch.Tensor) -> torch.Tensor:
    power = torch.stft(waves, 1024, 501, window=WINDOW, return_complex=True).abs() ** 2
    return 10 * torch.log10(power.transpose(1, 2) @ FILTERS + 1e-10)


def our_clips(batches: Batches, count: int, with_mel: bool = False) -> None:
    for number in range(count):
        made = batches[BatchPlan((0, 0, number), number, np.array([number % 3]), np.zeros(0, int), training=True)]
        if with_mel:
            for name in ("audio_p", "audio_s"):
                mel(cast(dict[str, torch.Tensor], made.batch)[name][0].float() / 2**15)


def repeat(work: Callable[[], Any], count: int) -> None:
    for _ in range(count):
        work()


def seconds_a_clip(work: Callable[[int], None], count: int) -> float:
    """Processor seconds; the best of three, since the machine is not ours alone."""
    work(2)
    found = []
    for _ in range(3):
        begun = time.process_time()
        work(count)
        found.append((time.process_time() - begun) / count)
    return min(found)


@pytest.fixture
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("one_thread")
def test_clips_a_second_and_core(originals: dict[str, Path], shards: dict[str, Path]) -> None:
    random = np.random.default_rng(0)
    print(f"\n{'original':10}{'plain':>12}{'ours':>12}{'ours + mel':>12}{'ratio':>9}   clips a second and core")
    rates: dict[str, tuple[float, float]] = {}
    for name, path in originals.items():
        feed = make_feed(str(shards[name]), recipe())
        plain = seconds_a_clip(partial(repeat, partial(plain_clip, path, random)), 4)
        ours = seconds_a_clip(partial(our_clips, feed._batches), 14)
        whole = seconds_a_clip(partial(our_clips, feed._batches, with_mel=True), 14)
        rates[name] = (1 / plain, 1 / ours)
        print(f"{name:10}{1 / plain:12.2f}{1 / ours:12.1f}{1 / whole:12.1f}{plain / ours:9.1f}")
    print(f"\ncores that a GPU needs, by the clips a second that it takes\n{'':12}", end="")
    print("".join(f"{appetite:8}" for appetite in APPETITES))
    for name, (plain, ours) in rates.items():
        for label, rate in ((f"plain {name}", plain), (f"ours {name}", ours)):
            print(f"{label:12}" + "".join(f"{appetite / rate:8.1f}" for appetite in APPETITES))
    assert rates["720p"][1] / rates["720p"][0] >= MIN_RATIO


@pytest.mark.usefixtures("one_thread")
def test_how_members_are_encoded_pays(sample: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """16 frames of 3 s out of our members, and out of what the preset alone makes of the same frames."""
    with av.open(str(sample)) as container:
        frames = [frame.reformat(568, 320, format="yuv420p") for frame in islice(container.decode(video=0), 200)]
    window = ShotWindow(40 + uniform(75, 16), 280, (0.5, 0.5))
    plain = {name: X264[name] for name in ("preset", "crf")} | {"x264-params": "keyint=25:threads=1"}
    found = {}
    for name, options in (("preset alone", plain), ("ours", dict(X264))):
        monkeypatch.setattr(encoding, "X264", options)
        begun = time.process_time()
        data = encoding.encode_picture(frames)
        made = (time.process_time() - begun) / 8
        decoded = seconds_a_clip(partial(repeat, partial(decode_windows, data, [window], 224)), 10)
        found[name] = decoded
        print(
            f"\n{name:14}{decoded * 1e3:7.1f} ms to decode{made * 1e3:7.0f} ms/s to encode{len(data) / 8e3:7.0f} kB/s",
            end="",
        )
    print(f"\n{found['preset alone'] / found['ours']:.1f} times faster")
    assert found["ours"] < found["preset alone"] / 1.5


def test_simulated_feed(shards: dict[str, Path]) -> None:
    """A training that takes batches at a given pace: the share of its time that it waits for one worker."""
    setup = recipe(workers=1, prefetch=4)
    feed = make_feed(str(shards["720p"]), setup)
    alone = 2 / pace(feed, 12, 0.0)[0]
    print(f"\none worker alone: {alone:.1f} clips/s\n{'pace':>8}{'waits':>8}")
    waits = {}
    for share in (0.25, 0.5, 0.8, 1.5):
        step = 2 / (alone * share)
        waits[share] = pace(feed, 12, step)[1]
        print(f"{share:8.2f}{waits[share]:8.1%}")
    feed.close()
    assert waits[0.25] < 0.15 < waits[1.5]


def pace(feed: ShardFeed, steps: int, step: float) -> tuple[float, float]:
    """Seconds a step, and the share of them spent waiting, of a training that works ``step`` seconds on a batch."""
    batches = iter(feed)
    for _ in range(6):
        next(batches)
    waited, begun = 0.0, time.monotonic()
    for _ in range(steps):
        asked = time.monotonic()
        next(batches)
        waited += time.monotonic() - asked
        time.sleep(step)
    whole = time.monotonic() - begun
    feed.close()
    return whole / steps, waited / whole


def test_the_sampler_at_scale() -> None:
    """In a process of its own, so that its peak memory is its own."""
    code = "from tests.benchmarks.test_loading import sampler_figures; sampler_figures()"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    print(f"\n{done.stdout}")


def sampler_figures() -> None:
    """Build, memory and a draw of one epoch of :data:`SHOTS` shots."""
    title = np.sort(np.random.default_rng(0).integers(0, TITLES, SHOTS, dtype=np.uint32))
    tracemalloc.start()
    begun = time.process_time()
    order = epoch_order(title, 64, 8, 32, 0, 0)
    built = time.process_time() - begun
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    begun = time.perf_counter_ns()
    steps = min(len(order), 20_000)
    rows = np.arange(SHOTS, dtype=np.int64)
    for number in range(steps):
        rows[order[number]]
    draw = (time.perf_counter_ns() - begun) / steps / order.shape[1]
    assert order.size > SHOTS - 64 * 32 and (title[order[:, :8]] == title[order[:, :1]]).mean() > 0.99
    print(
        f"sampler, {SHOTS:,} shots of {TITLES:,} titles: {built:.1f} s an epoch to build, {order.nbytes / 1e6:.0f} MB "
        f"kept, {peak / 1e6:.0f} MB at the peak, {draw:.0f} ns a draw"
    )


def test_the_index_opens_at_once(tmp_path: Path) -> None:
    """Columns of :data:`SHOTS` shots with five tracks each."""
    import json

    from trainer.shards.index import FACTS, MEMBER_COLUMNS, PICTURE, SHOT_COLUMNS, open_index

    columns = tmp_path / "columns"
    columns.mkdir()
    lengths = {**dict.fromkeys(SHOT_COLUMNS, SHOTS), **dict.fromkeys(MEMBER_COLUMNS, 7 * SHOTS), "title_hash": TITLES}
    for name, length in lengths.items():
        kind = {**SHOT_COLUMNS, **MEMBER_COLUMNS, "title_hash": np.uint64}[name]
        np.lib.format.open_memmap(columns / f"{name}.npy", "w+", kind, (length,))
    names = ["orig", "control", "background", "es", "fr"]
    head = {"format": 1, "digest": "", "columns": "columns", "tracks": names, "shards": {}, "titles": TITLES}
    (tmp_path / "index.json").write_text(json.dumps({**head, "shots": SHOTS, "members": 7 * SHOTS}))
    before = psutil.Process().memory_info().rss
    begun = time.perf_counter()
    index = open_index(tmp_path)
    opened = time.perf_counter() - begun
    random = np.random.default_rng(0)
    begun = time.perf_counter()
    for row in random.integers(0, SHOTS, 2000):
        index.locate(int(row))
    found = (time.perf_counter() - begun) / 2000
    grown = (psutil.Process().memory_info().rss - before) / 1e6
    print(
        f"\nindex of {len(index):,} shots: open {opened * 1e3:.1f} ms, a shot {found * 1e6:.0f} µs, {grown:.0f} MB more"
    )
    assert opened < 1 and grown < 200 and {PICTURE, FACTS} == {"mp4", "json"}
