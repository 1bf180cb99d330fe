"""Language invariance: the measures on embeddings whose answer is known, and the whole on generated shards."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.unit.trainer.material import make_shards
from trainer.evaluation.baselines import random_encoder
from trainer.evaluation.cache import EmbeddingCache
from trainer.evaluation.invariance.measures import agreement, kept, retrieval, tell_apart
from trainer.evaluation.invariance.protocol import evaluate
from trainer.evaluation.results import records
from trainer.evaluation.subject import Subject
from trainer.recipe import load_recipe


def made(shots: int, language: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Two tracks: what a shot is, and so much of what its language is."""
    rng = np.random.default_rng(seed)
    shot, tongue = rng.standard_normal((shots, 256)), rng.standard_normal((2, 256))
    noise = 0.1 * rng.standard_normal((2, shots, 256))
    one, other = (shot + language * tongue[track] + noise[track] for track in range(2))
    return one, other


def test_a_blind_encoder_finds_every_dub() -> None:
    between = agreement(*made(60, language=0.0))
    assert (between.rank == 0).all() and (between.rank_among_first == 0).all()
    assert between.own.mean() > 0.9 > between.other.mean()


def test_an_encoder_of_languages_prefers_its_own() -> None:
    """The dub is still the nearest of the dubs, but every other original is nearer than it."""
    between = agreement(*made(60, language=2.0))
    assert (between.rank < 1).mean() > 0.9
    assert (between.rank_among_first < 1).mean() < 0.1


def test_ranks_against_counting_by_hand() -> None:
    rng = np.random.default_rng(3)
    one, other = rng.standard_normal((2, 20, 8))
    between = agreement(one, other)
    for i in range(20):
        cosines = [one[i] @ row / np.linalg.norm(one[i]) / np.linalg.norm(row) for row in other]
        assert between.rank[i] == sum(cosine > cosines[i] for cosine in cosines)
        assert between.own[i] == pytest.approx(cosines[i])
        assert between.other[i] == pytest.approx(np.mean([cosine for j, cosine in enumerate(cosines) if j != i]))
        mates = [one[i] @ row / np.linalg.norm(one[i]) / np.linalg.norm(row) for j, row in enumerate(one) if j != i]
        assert between.rank_among_first[i] == sum(cosine > cosines[i] for cosine in mates)


def test_ties_count_half() -> None:
    same = np.ones((5, 3))
    assert agreement(same, same).rank.tolist() == [2.0] * 5
    assert retrieval(same, same).tolist() == [2.0] * 5


def test_shortcut_probe_hears_a_trace_and_nothing_else() -> None:
    rng = np.random.default_rng(0)
    one = rng.standard_normal((80, 16))
    traced = one + 0.3 * rng.standard_normal((80, 16))
    traced[:, 5] += 4
    assert tell_apart(one, one).auc == 0.5
    assert abs(tell_apart(one, one + 0.3 * rng.standard_normal((80, 16))).auc - 0.5) < 0.15
    assert tell_apart(one, traced).auc > 0.95


def test_kept_never_sees_a_group_twice() -> None:
    """Embeddings that tell only the group teach nothing about its label in another group."""
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(20), 10)
    labels = np.array(["a", "b"])[groups % 2]
    by_group = rng.standard_normal((20, 12))[groups] + 0.01 * rng.standard_normal((200, 12))
    assert kept(by_group, labels, groups).mean() < 0.75
    by_label = by_group + 9 * (labels == "a")[:, None]
    assert kept(by_label, labels, groups).mean() > 0.95
    with pytest.raises(ValueError, match="two groups"):
        kept(by_group, labels, np.zeros(200))


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_shards(tmp_path_factory.mktemp("shards"), titles=5, shots=5)


def test_whole_on_shards(shards: Path, tmp_path: Path) -> None:
    encoder = random_encoder(load_recipe("tiny-en"))
    with EmbeddingCache(tmp_path / "cache.db") as cache:
        result = evaluate(shards, Subject(encoder, cache, "random"))
        again = evaluate(shards, Subject(encoder, cache, "random"))
    values = {name: value["value"] for name, value in result["metrics"].items()}
    assert result["data"]["shots"] == 25 and result["data"]["titles"] == 5
    # The material's tone tells the shots apart, so that even random towers find dubs more often than chance.
    assert values["own_dub"] > 3 / 25 and result["metrics"]["own_dub"]["chance"] == 1 / 25
    assert result["metrics"]["r10/es-video"]["chance"] == 10 / 25 and result["metrics"]["own_rank/fr"]["chance"] == 12
    assert {"own_dub/es", "own_dub/fr", "own_rank/control", "similarity_own/es", "language"} <= set(values)
    assert {"r1/es-video", "r5/video-fr", "r10/orig-video", "shortcut/orig-control", "shortcut/control-es"} <= set(
        values
    )
    assert values["similarity_own/control"] > values["similarity_other/control"]
    assert values["shortcut/orig-control"] == 0.5, "orig and control of the material are the same"
    assert result["cost"]["embedded"] == 25 and again["cost"] | {"embedded": 0, "found": 25} == again["cost"]
    assert again["metrics"] == result["metrics"]
    read = records.read_result(records.write(result, tmp_path))
    assert read["metrics"]["own_rank/es"]["higher_is_better"] is False
    assert read["statistics"]["own_dub"]["sources"] == [f"title{n}" for n in range(5)]


def test_word_and_speaker_are_probed(shards: Path, data_dir: Path, tmp_path: Path) -> None:
    chosen = tmp_path / "digits"
    chosen.mkdir()
    for file in (data_dir / "spoken-digits" / "recordings").glob("*_[0-4].wav"):
        if file.name[0] in "0123":
            (chosen / file.name).symlink_to(file)
    with EmbeddingCache() as cache:
        result = evaluate(shards, Subject(random_encoder(load_recipe("tiny-en")), cache, "r"), limit=4, speech=chosen)
    assert result["metrics"]["speaker"]["value"] > 2 / 6
    assert result["metrics"]["word"]["value"] > 0.25
    assert len(result["statistics"]["word"]["sources"]) == 6
