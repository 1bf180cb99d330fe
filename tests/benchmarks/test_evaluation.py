"""What embedding costs for many tasks: clips a second beside the loop that embeds clip by clip, task by task.

The plain way is what evaluation code of the field does (the HEAR kit with clips of any length): for every task and file
read it, embed it alone, keep it. Ours groups windows and finds clips that another task has too. Both in one run, wall
time; ``COUNTERDUB_BENCH_CLIPS`` sets another number of clips.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf

from trainer.evaluation.baselines import encoder_of
from trainer.evaluation.cache import EmbeddingCache
from trainer.evaluation.embedding import AudioEncoder, embed_files, read_wave, scenes
from trainer.evaluation.results.significance import DRAWS, compare, from_counts, from_predictions

pytestmark = pytest.mark.bench

CLIPS = int(os.environ.get("COUNTERDUB_BENCH_CLIPS", "160"))
TASKS = 3
MIN_RATIO = {"random:tiny-en": 1.5, "mel-statistics": 1.5}
"""Three tasks of the same clips: less than all of three, for files are hashed, and statistics cost little to make."""


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Clips of 5 s of noise at 48 kHz, as ESC has them."""
    rng = np.random.default_rng(0)
    folder = tmp_path_factory.mktemp("clips")
    for number in range(CLIPS):
        sf.write(folder / f"{number:05d}.wav", 0.1 * rng.standard_normal(5 * 48_000), 48_000)
    return sorted(folder.iterdir())


def seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def naive(encoder: AudioEncoder, clips: list[Path]) -> list[np.ndarray]:
    return [scenes(encoder, [read_wave(clip, encoder.sample_rate)]) for _ in range(TASKS) for clip in clips]


def ours(encoder: AudioEncoder, clips: list[Path], cache: Path) -> None:
    for _ in range(TASKS):
        with EmbeddingCache(cache) as kept:
            embed_files(encoder, clips, kept)


@pytest.mark.parametrize("name", MIN_RATIO)
def test_clips_a_second(clips: list[Path], tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    encoder = encoder_of(name)
    naive(encoder, clips[:4])
    plain, kept = seconds(lambda: naive(encoder, clips)), seconds(lambda: ours(encoder, clips, tmp_path / "cache.db"))
    asked = TASKS * len(clips)
    with capsys.disabled():
        print(
            f"\n{name}: {TASKS} tasks of {len(clips)} clips of 5 s: {asked / kept:.1f} clips/s, "
            f"plain loop {asked / plain:.1f} clips/s, ratio {plain / kept:.2f}"
        )
    assert plain / kept > MIN_RATIO[name]


def test_bootstrap_is_quick(capsys: pytest.CaptureFixture[str]) -> None:
    """2,000 draws: accuracy of 10,000 recordings, and mAP of 2,000 clips in 50 classes."""
    rng = np.random.default_rng(0)
    names = [f"{n:05d}" for n in range(10_000)]
    two = [
        from_counts("ratio", names, np.column_stack([rng.random(10_000) < share, np.ones(10_000)]))
        for share in (0.6, 0.5)
    ]
    by_counts = seconds(lambda: compare(two[0], two[1], draws=DRAWS))
    targets = (rng.random((2000, 50)) < 0.1).astype(int)
    of = np.array([f"{n // 2:04d}" for n in range(2000)])
    ranked = [from_predictions("mAP", rng.random((2000, 50)), targets, of) for _ in range(2)]
    by_rank = seconds(lambda: compare(ranked[0], ranked[1], draws=DRAWS))
    with capsys.disabled():
        print(f"\n{DRAWS} draws: accuracy of 10,000 recordings {by_counts:.1f} s, mAP of 2,000 × 50 {by_rank:.1f} s")
    assert by_counts < 30 and by_rank < 180
