"""The shortcut probe finds a planted leak, and nothing where there is none."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from shared.core.records import SAMPLE_RATE
from shared.quality.logmel import BLOCK_SAMPLES, block_features, mel_bank
from shared.quality.shortcut import MAX_BLOCKS, ShortcutProbe, auc, features, fit, free_blocks, probe


def scene(seed: int, shots: int = 6, seconds: float = 4.0) -> tuple[np.ndarray, list[tuple[float, float]]]:
    """Noise whose level and colour change from shot to shot, ``[1, samples]``, and the shots."""
    rng = np.random.default_rng(seed)
    parts = []
    for _ in range(shots):
        noise = rng.normal(0, 10 ** rng.uniform(-3, -1), int(seconds * SAMPLE_RATE))
        parts.append(np.convolve(noise, np.ones(int(rng.integers(1, 12))) / 4, mode="same"))
    audio = np.concatenate(parts).astype(np.float32)[None]
    return audio, [(n * seconds, (n + 1) * seconds) for n in range(shots)]


def run(one: np.ndarray, other: np.ndarray, shots: list[tuple[float, float]]) -> ShortcutProbe:
    starts, groups = free_blocks(shots, [], one.shape[1])
    return probe(features(lambda a, b: one[:, a:b], starts), features(lambda a, b: other[:, a:b], starts), groups)


def test_equal_tracks_give_exactly_one_half() -> None:
    audio, shots = scene(0)
    found = run(audio, audio.copy(), shots)
    assert found.auc == 0.5
    assert found.identical == 1.0
    assert (found.shots, found.blocks) == (6, 6 * 13)


def test_hiss_in_every_block_of_the_dub_is_found() -> None:
    audio, shots = scene(1)
    audio[:, : audio.shape[1] // 2] *= 0.1
    hiss = np.diff(np.random.default_rng(2).normal(0, 1, audio.shape[1]), prepend=0)
    found = run(audio, (audio + 3e-3 * hiss).astype(np.float32), shots)
    assert found.auc is not None and found.auc > 0.6
    found = run(audio, (audio + 3e-2 * hiss).astype(np.float32), shots)
    assert found.auc is not None and found.auc > 0.8


def test_a_band_limited_dub_is_found() -> None:
    audio, shots = scene(3)
    spectrum = np.fft.rfft(audio)
    spectrum[:, int(8000 / (SAMPLE_RATE / 2) * spectrum.shape[1]) :] = 0
    found = run(audio, np.fft.irfft(spectrum, audio.shape[1]).astype(np.float32), shots)
    assert found.auc is not None and found.auc > 0.95


def test_independent_noise_of_one_kind_is_about_one_half() -> None:
    (one, shots), (other, _) = scene(4, shots=20), scene(4, shots=20)
    jitter = np.random.default_rng(5)
    one = one + jitter.normal(0, 1e-4, one.shape)
    other = other + jitter.normal(0, 1e-4, other.shape)
    found = run(one.astype(np.float32), other.astype(np.float32), shots)
    assert found.auc == pytest.approx(0.5, abs=0.06)
    assert found.identical == 0.0


def test_a_few_leaking_blocks_among_equal_ones_count_as_few() -> None:
    audio, shots = scene(6, shots=10)
    other = audio.copy()
    other[:, : 4 * SAMPLE_RATE] *= 0.5
    found = run(audio, other, shots)
    assert found.identical == pytest.approx(0.9)
    assert found.auc == pytest.approx(0.5, abs=0.06)


def test_too_little_to_judge_by_has_a_reason() -> None:
    audio, shots = scene(7, shots=2)
    assert run(audio, audio, shots[:1])[0::4] == (None, "few_shots")
    assert run(audio, audio, [(0, 1), (4, 5)])[0::4] == (None, "few_blocks")
    assert run(audio, audio, []).identical is None


def test_blocks_lie_outside_speech_and_inside_shots() -> None:
    shots, speech = [(0.0, 2.0), (2.0, 5.0)], [(0.5, 1.0), (1.9, 2.45), (4.7, 9.0)]
    starts, groups = free_blocks(shots, speech, 5 * SAMPLE_RATE)
    assert len(starts) > 5
    for start, group in zip(starts / SAMPLE_RATE, groups, strict=True):
        end = start + BLOCK_SAMPLES / SAMPLE_RATE
        assert shots[group][0] <= start and end <= shots[group][1]
        assert all(end <= a + 1e-9 or start >= b - 1e-9 for a, b in speech)


def test_long_titles_are_sampled_evenly_and_the_same_way_each_time() -> None:
    shots = [(n * 5.0, n * 5.0 + 5) for n in range(1440)]
    starts, groups = free_blocks(shots, [], 7200 * SAMPLE_RATE)
    again, _ = free_blocks(shots, [], 7200 * SAMPLE_RATE)
    assert len(starts) == MAX_BLOCKS and np.array_equal(starts, again)
    assert np.diff(starts).min() > 0 and len(np.unique(groups)) == 1440


def test_the_classifier_equals_scikit_learn() -> None:
    rng = np.random.default_rng(8)
    x = rng.normal(3, 2, (300, 20))
    y = (x[:, 0] + rng.normal(0, 2, 300) > 3).astype(float)
    weights, bias, mean, scale = fit(x, y)
    theirs = LogisticRegression(C=1.0, tol=1e-8, max_iter=1000).fit((x - mean) / scale, y)
    assert weights == pytest.approx(theirs.coef_[0], abs=1e-3)
    assert bias == pytest.approx(theirs.intercept_[0], abs=1e-3)
    scores = np.round((x - mean) / scale @ weights, 1)
    assert auc(scores, y) == pytest.approx(roc_auc_score(y, scores))


def test_log_mel_sees_silence_as_the_floor_and_every_band_of_noise() -> None:
    assert (mel_bank().sum(axis=1) > 0).all()
    silent = block_features(np.zeros(BLOCK_SAMPLES, dtype=np.float32))
    assert silent.shape == (128,) and np.allclose(silent[:64], -100) and np.allclose(silent[64:], 0)
    noise = np.random.default_rng(9).normal(0, 0.1, BLOCK_SAMPLES).astype(np.float32)
    assert (block_features(noise)[:64] > -40).all()
