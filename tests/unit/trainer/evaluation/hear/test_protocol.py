"""HEAR's protocol: folds, the predictor beside scikit-learn's, events, one embedding a clip, the API."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from shared.core.errors import CounterdubError
from tests.unit.trainer.evaluation.conftest import SMALL, Counting, write_hear_task
from trainer.evaluation.baselines import MelStatistics, encoder_of
from trainer.evaluation.cache import EmbeddingCache
from trainer.evaluation.embedding import embed_files
from trainer.evaluation.hear.layouts import lay_out
from trainer.evaluation.hear.protocol import embed, evaluate, gather
from trainer.evaluation.hear.tasks import HearTask, folds_of, leaks, read_task
from trainer.evaluation.results import records
from trainer.evaluation.subject import Subject


def by_scikit_learn(task: HearTask, cache: EmbeddingCache) -> float:
    """Mean accuracy over folds of an MLP of the same size on standardised mel statistics."""
    embedded = embed(task, MelStatistics(), cache, lambda what, done, of: None)
    folds = []
    for fold in task.folds:
        train, test = gather(task, embedded, fold.train), gather(task, embedded, fold.test)
        # One batch an epoch, as HEAR's 1024 are on so few clips; its own early stopping would train on less.
        network = MLPClassifier(
            (128,), learning_rate_init=1e-3, batch_size=len(train.inputs), max_iter=150, random_state=0
        )
        model = make_pipeline(StandardScaler(), network).fit(train.inputs, train.targets.argmax(1))
        folds.append(model.score(test.inputs, test.targets.argmax(1)))
    return float(np.mean(folds))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_predictor_reaches_scikit_learn_and_a_random_tower_lies_between(
    esc10: HearTask, spoken_digits: HearTask
) -> None:
    """ESC-10 and spoken digits on mel statistics; a tower without training is above chance and below them."""
    with EmbeddingCache() as cache:
        found = {}
        for task in (esc10, spoken_digits):
            small = task._replace(grid=SMALL | {"max_epochs": [150]})
            result, _ = evaluate(small, Subject(MelStatistics(), cache, "mel"), grid_points=1)
            found[task.name] = result["metrics"]["top1_acc"]["value"]
            assert found[task.name] > by_scikit_learn(task, cache) - 0.03, task.name
        small = esc10._replace(grid=SMALL | {"max_epochs": [150]})
        random = []
        for seed in (0, 1):
            result, _ = evaluate(small, Subject(encoder_of("random:tiny-en", seed), cache, "random"), grid_points=1)
            random.append(result["metrics"]["top1_acc"]["value"])
    assert 0.2 < np.mean(random) < found["esc10"]


def test_no_recording_of_esc10_is_on_two_sides(esc10: HearTask) -> None:
    assert len(esc10.folds) == 5
    assert not leaks(esc10)
    for fold in esc10.folds:
        sides = [{clip.source for clip in esc10.clips if clip.split in side} for side in fold]
        assert not (sides[0] & sides[1] or sides[0] & sides[2] or sides[1] & sides[2])
    takes = {clip.source for clip in esc10.clips}
    assert len(takes) < len(esc10.clips), "some recordings were cut into several clips, so the check means something"


def test_a_leaking_task_is_refused(tones: Path, tmp_path: Path) -> None:
    shutil.copytree(tones, tmp_path / "leaky")
    sources = {clip.name: clip.name[2:] for clip in read_task(tones).clips}
    (tmp_path / "leaky" / "sources.json").write_text(json.dumps(sources))
    with pytest.raises(CounterdubError) as caught:
        read_task(tmp_path / "leaky")
    assert caught.value.code == "leaking_folds"


def test_folds_are_hears() -> None:
    splits = ("fold02", "fold00", "fold01", "fold03")
    folds = folds_of("presplit_kfold", splits)
    assert folds[0] == (("fold02", "fold03"), ("fold01",), ("fold00",))
    assert folds[3] == (("fold01", "fold02"), ("fold00",), ("fold03",))
    assert [fold.test[0] for fold in folds] == sorted(splits)


@pytest.mark.parametrize(
    ("file", "change", "code"),
    [
        ("task_metadata.json", None, "not_a_task"),
        ("task_metadata.json", "{", "bad_task"),
        ("task_metadata.json", "[]", "bad_task"),
        ("task_metadata.json", "{}", "bad_task"),
        ("labelvocabulary.csv", "idx,label\n0,low\n", "bad_task"),
        ("labelvocabulary.csv", "idx,label\n1,low\n2,high\n", "bad_task"),
        ("fold01.json", None, "bad_task"),
        ("fold01.json", '{"../../x.wav": ["low"]}', "bad_task"),
        ("fold01.json", '{"x.wav": ["low", "high"]}', "bad_task"),
    ],
)
def test_bad_tasks_say_so(tones: Path, tmp_path: Path, file: str, change: str | None, code: str) -> None:
    shutil.copytree(tones, tmp_path / "task")
    path = tmp_path / "task" / file
    path.unlink() if change is None else path.write_text(change)
    with pytest.raises(CounterdubError) as caught:
        read_task(tmp_path / "task")
    assert caught.value.code == code


def test_scene_task_with_every_score(tones: Path) -> None:
    told = []
    with EmbeddingCache() as cache:
        result, predictions = evaluate(
            read_task(tones),
            Subject(MelStatistics(), cache, "mel"),
            grid_points=1,
            listener=lambda *what: told.append(what),
        )
    assert result["metrics"]["top1_acc"]["value"] == 1.0
    assert result["metrics"]["mAP"]["value"] == pytest.approx(1.0)
    assert result["metrics"]["aucroc"]["folds"] == [1.0, 1.0, 1.0]
    assert result["metrics"]["d_prime"]["value"] is None, "perfect separation has no finite d′"
    assert predictions["predictions"].shape == (48, 2)
    assert ("embed", 48, 48) in told and ("folds", 3, 3) in told
    statistics = result["statistics"]["top1_acc"]
    assert statistics["kind"] == records.RATIO
    assert np.sum(statistics["counts"], axis=0).tolist() == [48, 48]


def test_multilabel_scenes(tmp_path: Path) -> None:
    """Sounds with either of two tones, both or none: every label is found, and a sound without labels is one too."""
    rng = np.random.default_rng(2)
    time = np.arange(24_000) / 48_000
    rows: dict[str, Any] = {}
    sounds = {}
    for split, count in {"train": 32, "valid": 12, "test": 12}.items():
        for number in range(count):
            holds = [name for bit, name in enumerate(("low", "high")) if number >> bit & 1]
            pitches = {"low": 300, "high": 2400}
            wave = sum((0.2 * np.sin(2 * np.pi * pitches[name] * time) for name in holds), np.zeros(24_000))
            rows.setdefault(split, {})[f"{split}{number}.wav"] = holds
            sounds[split, f"{split}{number}.wav"] = wave + 0.02 * rng.standard_normal(24_000)
    metadata = {
        "embedding_type": "scene",
        "prediction_type": "multilabel",
        "split_mode": "trainvaltest",
        "evaluation": ["mAP", "aucroc"],
        "evaluation_params": {"task_specific_param_grid": SMALL | {"max_epochs": [60]}},
    }
    task = read_task(write_hear_task(tmp_path / "both", metadata, rows, sounds))
    with EmbeddingCache() as cache:
        result, predictions = evaluate(task, Subject(MelStatistics(), cache, "mel"), grid_points=1)
    assert result["metrics"]["mAP"]["value"] > 0.9 and result["metrics"]["aucroc"]["value"] > 0.9
    assert result["primary"] == "mAP" and result["statistics"]["mAP"]["kind"] == records.RANKED
    assert sorted(predictions["targets"].sum(1).tolist()) == [0] * 3 + [1] * 6 + [2] * 3


def test_the_same_seed_gives_the_same_result(tones: Path) -> None:
    task = read_task(tones)._replace(grid=SMALL | {"max_epochs": [6]})
    with EmbeddingCache() as cache:
        runs = [evaluate(task, Subject(MelStatistics(), cache, "m", s), grid_points=1)[1] for s in (3, 3, 4)]
    assert np.array_equal(runs[0]["predictions"], runs[1]["predictions"])
    assert not np.array_equal(runs[0]["predictions"], runs[2]["predictions"])


def test_event_task(beeps: HearTask) -> None:
    """Beeps are found to 200 ms from statistics of 0.2 s, and not from noise."""
    with EmbeddingCache() as cache:
        result, _ = evaluate(beeps, Subject(MelStatistics(seconds=0.2), cache, "mel"), grid_points=1)
    found, errors = (result["metrics"][name] for name in beeps.scores)
    assert found["value"] > 0.9
    assert errors["value"] < 0.3 and not errors["higher_is_better"]
    assert len(result["statistics"]["event_onset_200ms_fms"]["sources"]) == 3

    class Deaf(MelStatistics):
        def audio(self, waves: np.ndarray) -> np.ndarray:
            return np.random.default_rng(0).standard_normal((len(waves), self.audio_size)).astype(np.float32)

    deaf = Deaf(seconds=0.2)
    deaf.id = "deaf"
    with EmbeddingCache() as cache:
        result, _ = evaluate(beeps, Subject(deaf, cache, "deaf"), grid_points=1)
    assert result["metrics"]["event_onset_200ms_fms"]["value"] < 0.5


def test_each_clip_is_embedded_once_for_many_tasks(tones: Path, tmp_path: Path) -> None:
    shutil.copytree(tones, tmp_path / "again")
    metadata = json.loads((tmp_path / "again" / "task_metadata.json").read_text())
    (tmp_path / "again" / "task_metadata.json").write_text(json.dumps(metadata | {"task_name": "again"}))
    encoder = Counting()
    kept = tmp_path / "cache" / "embeddings.db"
    for folder in (tones, tmp_path / "again"):
        with EmbeddingCache(kept) as cache:
            result, _ = evaluate(read_task(folder), Subject(encoder, cache, "mel"), grid_points=1)
    assert encoder.windows == 48
    assert result["cost"]["found"] == 48 and result["cost"]["embedded"] == 0
    other = Counting()
    other.id = "another checkpoint"
    with EmbeddingCache(kept) as cache:
        evaluate(read_task(tones), Subject(other, cache, "mel"), grid_points=1)
    assert other.windows == 48, "another checkpoint finds nothing"


def test_the_same_content_twice_is_embedded_once(tones: Path) -> None:
    file = next((tones / "48000").rglob("*.wav"))
    encoder = Counting()
    with EmbeddingCache() as cache:
        embedded = embed_files(encoder, [file, file, file], cache)
    assert encoder.windows == 1 == embedded.computed
    assert len(embedded.rows) == 3


def test_layouts(tmp_path: Path, tones: Path) -> None:
    """A folder a class: folds by name, both takes of a recording together."""
    sounds = sorted((tones / "48000").rglob("*.wav"))
    for number, file in enumerate(sounds):
        target = tmp_path / "classes" / ("rain", "wind")[number % 2] / f"place{number // 8:02d}_{number % 8}.wav"
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, target)
    task = lay_out("folders", tmp_path / "classes", tmp_path / "task")
    assert set(task.labels) == {"rain", "wind"} and len(task.clips) == 48
    assert not leaks(task) and len({clip.source for clip in task.clips}) == 12
    assert lay_out("folders", tmp_path / "classes", tmp_path / "task").clips == task.clips
    with pytest.raises(CounterdubError) as caught:
        lay_out("esc", tmp_path / "classes", tmp_path / "other")
    assert caught.value.code == "no_clips" and not (tmp_path / "other").exists()


def test_a_broken_sound_is_named(tones: Path, tmp_path: Path) -> None:
    shutil.copytree(tones, tmp_path / "task")
    next((tmp_path / "task" / "48000" / "fold01").iterdir()).write_bytes(b"no sound")
    with EmbeddingCache() as cache, pytest.raises(CounterdubError) as caught:
        evaluate(read_task(tmp_path / "task"), Subject(MelStatistics(), cache, "mel"))
    assert caught.value.code == "bad_audio"
