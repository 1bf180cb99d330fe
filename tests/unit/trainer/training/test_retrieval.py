"""Recall: right on embeddings that can be counted by hand, pessimistic where all are alike."""

from __future__ import annotations

import numpy as np
import pytest

from trainer.training.retrieval import ranks, recalls


def unit(values: np.ndarray) -> np.ndarray:
    return values / np.linalg.norm(values, axis=1, keepdims=True)


def test_ranks_equal_a_sort() -> None:
    random = np.random.default_rng(0)
    queries, among = unit(random.standard_normal((50, 8))), unit(random.standard_normal((70, 8)))
    own = random.permutation(70)[:50]
    order = np.argsort(-(queries @ among.T), axis=1)
    expected = [int(np.flatnonzero(order[row] == own[row])[0]) for row in range(50)]
    assert ranks(queries, among, own, rows=7).tolist() == expected


def test_embeddings_that_are_all_alike_find_nothing() -> None:
    same = unit(np.ones((12, 4)))
    found = recalls({"shot": np.arange(12), "v_p": same, "a_p": same}, ())
    assert found["r1/audio-video"] == found["r10/video-audio"] == 0 and found["chance"] == pytest.approx(1 / 12)


def test_a_shot_that_came_twice_counts_once() -> None:
    vectors = unit(np.random.default_rng(1).standard_normal((6, 16)))
    twice = np.concatenate([vectors, vectors[:2]])
    found = recalls({"shot": np.array([0, 1, 2, 3, 4, 5, 0, 1]), "v_p": twice, "a_p": twice}, ())
    assert found["held_out"] == 6 and found["r1/audio-video"] == 1


def test_each_dub_is_measured_by_itself() -> None:
    vectors = unit(np.random.default_rng(2).standard_normal((20, 16)))
    spanish = np.arange(20) % 2 == 0
    other = np.where(spanish[:, None], vectors, np.roll(vectors, 1, axis=0))  # French finds the neighbour's
    found = recalls(
        {
            "shot": np.arange(20), "v_p": vectors, "a_p": vectors, "a_s": other,
            "track_p": np.zeros(20, int), "track_s": np.where(spanish, 1, 2),
        },
        ("orig", "es", "fr"),
    )  # fmt: skip
    assert found["r1/es-orig"] == found["r1/es-video"] == 1 and found["r1/fr-orig"] == found["r1/fr-video"] == 0


def test_a_sound_does_not_look_for_itself_beside_a_picture() -> None:
    vectors = unit(np.random.default_rng(3).standard_normal((5, 4)))
    track = np.zeros(5, int)
    every = {"shot": np.arange(5), "a_p": vectors, "a_s": vectors, "track_p": track, "track_s": track}
    assert "r1/orig-orig" not in recalls({**every, "v_p": vectors}, ("orig",))
    assert "r1/orig-orig" in recalls(every, ("orig",))
