"""HEAR's protocol: folds, the predictor beside scikit-learn's, events, one embedding a clip, the API."""

from __future__ import annotations

import json
import shutil
import sys
import types
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from shared.errors import CounterdubError
from tests.trainer.embedding.conftest import write
from tests.trainer.evaluation.conftest import SMALL, Counting
from trainer.evaluation import hear, results
from trainer.evaluation.baselines import MelStatistics, encoder_of
from trainer.evaluation.cache import EmbeddingCache
from trainer.evaluation.embedding import embed_files, moments, scenes
from trainer.evaluation.hear_run import embed, evaluate, gather
from trainer.evaluation.layouts import lay_out
from trainer.evaluation.predictor import Point, batches, fit, points, predict
from trainer.evaluation.tasks import Task, folds_of, leaks, read_task


def by_scikit_learn(task: Task, cache: EmbeddingCache) -> float:
    """Mean accuracy over folds of an MLP of the same size on standardised mel statistics."""
    embedded = embed(task, MelStatistics(), cache, lambda what, done, of: None)
    folds = []
    for fold in task.folds:
        train, test = gather(task, embedded, fold.train), gather(task, embedded, fold.test)
        network = MLPClassifier((128,), learning_rate_init=1e-3, early_stopping=True, max_iter=300, random_state=0)
        model = make_pipeline(StandardScaler(), network).fit(train.inputs, train.targets.argmax(1))
        folds.append(model.score(test.inputs, test.targets.argmax(1)))
    return float(np.mean(folds))


@pytest.mark.slow
def test_predictor_reaches_scikit_learn_and_a_random_tower_lies_between(esc10: Task, spoken_digits: Task) -> None:
    """ESC-10 and spoken digits on mel statistics; a tower without training is above chance and below them."""
    with EmbeddingCache() as cache:
        found = {}
        for task in (esc10, spoken_digits):
            small = task._replace(grid=SMALL | {"max_epochs": [150]})
            result, _ = evaluate(small, MelStatistics(), cache, label="mel", grid_points=1)
            found[task.name] = result["metrics"]["top1_acc"]["value"]
            assert found[task.name] > by_scikit_learn(task, cache) - 0.03, task.name
        small = esc10._replace(grid=SMALL | {"max_epochs": [150]})
        result, _ = evaluate(small, encoder_of("random:tiny-en"), cache, label="random", grid_points=1)
    assert 0.2 < result["metrics"]["top1_acc"]["value"] < found["esc10"]


def test_no_recording_of_esc10_is_on_two_sides(esc10: Task) -> None:
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
            MelStatistics(),
            cache,
            label="mel",
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
    assert statistics["kind"] == results.RATIO
    assert np.sum(statistics["counts"], axis=0).tolist() == [48, 48]


def test_the_same_seed_gives_the_same_result(tones: Path) -> None:
    task = read_task(tones)._replace(grid=SMALL | {"max_epochs": [6]})
    with EmbeddingCache() as cache:
        runs = [evaluate(task, MelStatistics(), cache, label="m", grid_points=1, seed=s)[1] for s in (3, 3, 4)]
    assert np.array_equal(runs[0]["predictions"], runs[1]["predictions"])
    assert not np.array_equal(runs[0]["predictions"], runs[2]["predictions"])


def test_event_task(beeps: Task) -> None:
    """Beeps are found to 200 ms from statistics of 0.2 s, and not from noise."""
    with EmbeddingCache() as cache:
        result, _ = evaluate(beeps, MelStatistics(seconds=0.2), cache, label="mel", grid_points=1)
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
        result, _ = evaluate(beeps, deaf, cache, label="deaf", grid_points=1)
    assert result["metrics"]["event_onset_200ms_fms"]["value"] < 0.5


def test_each_clip_is_embedded_once_for_many_tasks(tones: Path, tmp_path: Path) -> None:
    shutil.copytree(tones, tmp_path / "again")
    metadata = json.loads((tmp_path / "again" / "task_metadata.json").read_text())
    (tmp_path / "again" / "task_metadata.json").write_text(json.dumps(metadata | {"task_name": "again"}))
    encoder = Counting()
    kept = tmp_path / "cache" / "embeddings.db"
    for folder in (tones, tmp_path / "again"):
        with EmbeddingCache(kept) as cache:
            result, _ = evaluate(read_task(folder), encoder, cache, label="mel", grid_points=1)
    assert encoder.windows == 48
    assert result["cost"]["found"] == 48 and result["cost"]["embedded"] == 0
    other = Counting()
    other.id = "another checkpoint"
    with EmbeddingCache(kept) as cache:
        evaluate(read_task(tones), other, cache, label="mel", grid_points=1)
    assert other.windows == 48, "another checkpoint finds nothing"


def test_the_same_content_twice_is_embedded_once(tones: Path) -> None:
    file = next((tones / "48000").rglob("*.wav"))
    encoder = Counting()
    with EmbeddingCache() as cache:
        embedded = embed_files(encoder, [file, file, file], cache)
    assert encoder.windows == 1 == embedded.computed
    assert len(embedded.rows) == 3


def test_batches_do_not_change_embeddings() -> None:
    rng = np.random.default_rng(0)
    waves = [rng.standard_normal(length).astype(np.float32) * 0.1 for length in (10_000, 144_000, 300_000, 500_001)]
    encoder = encoder_of("random:tiny-en")
    together = scenes(encoder, waves, batch=3)
    alone = np.concatenate([scenes(encoder, [wave]) for wave in waves])
    assert together.shape == (4, encoder.audio_size)
    np.testing.assert_allclose(together, alone, atol=1e-4)


def test_timestamps_are_centred() -> None:
    """A click's moment has the most of it, and steps are equal to the last digit."""
    wave = np.zeros(48_000, dtype=np.float32)
    wave[24_000] = 1.0
    rows, times = moments(MelStatistics(seconds=0.1), wave)
    assert times.tolist() == [50.0 * n for n in range(20)]
    assert rows.shape == (20, 192)
    assert times[rows[:, 96:].sum(1).argmax()] in {450.0, 500.0, 550.0}


def test_hear_api_as_its_validator_asks() -> None:
    model = hear.load_model("random:tiny-en")
    assert isinstance(model, torch.nn.Module) and model.sample_rate in {16_000, 22_050, 44_100, 48_000}
    sounds = torch.rand(2, 2 * model.sample_rate) * 2 - 1
    embeddings, times = hear.get_timestamp_embeddings(sounds, model)
    assert embeddings.dtype == torch.float32 and embeddings.shape == (2, 40, model.timestamp_embedding_size)
    assert times.shape == (2, 40) and torch.all((torch.diff(times) - 50).abs() < 1e-3)
    scene = hear.get_scene_embeddings(sounds, model)
    assert scene.dtype == torch.float32 and scene.shape == (2, model.scene_embedding_size)
    assert model.to("cpu") is model


def test_the_public_validator_is_content(monkeypatch: pytest.MonkeyPatch) -> None:
    """hearvalidator imports tensorflow to look for its models; ours are not, so an empty module does."""
    stand_in = types.ModuleType("tensorflow")
    stand_in.Module = type("Module", (), {})  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "tensorflow", stand_in)
    validate = pytest.importorskip("hearvalidator.validate", reason="the package hearvalidator is not installed")
    validate.ValidateModel("trainer.evaluation.hear", "random:tiny-en", "cpu")()


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
        evaluate(read_task(tmp_path / "task"), MelStatistics(), cache, label="mel")
    assert caught.value.code == "bad_audio"


def test_predictor_learns_and_stops() -> None:
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 3, 240)
    inputs = (np.eye(3)[truth] @ rng.standard_normal((3, 20)) * 2 + rng.standard_normal((240, 20))).astype(np.float32)
    targets = np.eye(3)[truth]

    def accuracy(predictions: np.ndarray) -> tuple[float, None]:
        return float((predictions.argmax(1) == truth[160:]).mean()), None

    point = Point(hidden_dim=32, max_epochs=300, patience=3)
    train, valid = (inputs[:160], targets[:160]), (inputs[160:], targets[160:])
    fitted = fit(train, valid, point, accuracy, multilabel=False, seed=0)
    assert fitted.score > 0.9 and fitted.epoch < 299
    assert accuracy(predict(fitted, inputs[160:]))[0] == fitted.score
    by_loss = fit(train, valid, point, None, multilabel=True, seed=0)
    assert predict(by_loss, inputs[160:]).shape == (80, 3)


def test_grid_and_batches() -> None:
    every = points("default", 99, 0)
    assert len(every) == 16 and len(set(every)) == 16
    assert {point.hidden_dim for point in every} == {1024} and {point.max_epochs for point in every} == {500}
    assert points("default", 8, 1) == points("default", 8, 1) != points("default", 8, 2)
    with pytest.raises(CounterdubError):
        points("slow", 8, 0)
    assert batches(2049, 1024) == [(0, 1024), (1024, 2049)] and batches(1, 1024) == [(0, 1)]


def test_a_checkpoint_of_ours_runs_and_has_its_own_cache(tones: Path, tmp_path: Path) -> None:
    """The folder of a run; another step of it finds nothing of the first."""
    task = read_task(tones)._replace(grid=SMALL | {"max_epochs": [3]})
    kept = tmp_path / "embeddings.db"
    for step in (7, 9):
        write(tmp_path / "run", step=step, seed=step)
        encoder = encoder_of(str(tmp_path / "run"))
        with EmbeddingCache(kept) as cache:
            result, _ = evaluate(task, encoder, cache, label="run", grid_points=1)
        assert result["cost"]["embedded"] == 48
        assert result["checkpoint"]["id"] == encoder.id and len(encoder.id) == 64
    model = hear.load_model(str(tmp_path / "run"))
    assert model.scene_embedding_size == encoder.audio_size
