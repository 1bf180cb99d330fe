"""Probes of pictures and sounds: published lists and schedules."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from shared.core.errors import CounterdubError
from trainer.evaluation.baselines import MelStatistics
from trainer.evaluation.cache import EmbeddingCache
from trainer.evaluation.hear.tasks import read_task
from trainer.evaluation.probes.listings import LVU_TASKS, classes, hmdb51, lvu, ucf101, vggsound
from trainer.evaluation.probes.probe import GRID, HARES, LINEAR, PAPER, Shape, factor, predict, train
from trainer.evaluation.probes.protocol import evaluate_long
from trainer.evaluation.subject import Subject


def touch(*files: Path) -> None:
    for file in files:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"clip")


def test_ucf101_lists(tmp_path: Path) -> None:
    touch(
        *(tmp_path / "Archery" / f"v_Archery_g{g:02d}_c01.avi" for g in (1, 8)),
        tmp_path / "Golf" / "v_Golf_g09_c01.avi",
    )
    lists = tmp_path / "ucfTrainTestlist"
    lists.mkdir()
    (lists / "testlist01.txt").write_text("Archery/v_Archery_g01_c01.avi\nArchery/v_Archery_g02_c01.avi\n")
    (lists / "trainlist01.txt").write_text("Archery/v_Archery_g08_c01.avi 1\nGolf/v_Golf_g09_c01.avi 2\n")
    found = ucf101(tmp_path)
    assert [(clip.label, clip.split) for clip in found.clips] == [
        ("Archery", "train"),
        ("Golf", "train"),
        ("Archery", "test"),
    ]
    assert found.missing == 1 and found.clips[0].source == "v_Archery_g08"
    (lists / "trainlist01.txt").write_text("Archery/v_Archery_g01_c01.avi 1\n")
    with pytest.raises(CounterdubError) as caught:
        ucf101(tmp_path)
    assert caught.value.code == "leaking_folds"
    with pytest.raises(CounterdubError) as caught:
        ucf101(tmp_path, 2)
    assert caught.value.code == "not_a_listing"


def test_hmdb51_and_vggsound_lists(tmp_path: Path) -> None:
    names = [
        "Some_film_clap_u_cm_np1_fr_med_0.avi",
        "Other_clap_u_nm_np1_fr_bad_1.avi",
        "Third_clap_u_nm_np1_fr_bad_2.avi",
    ]
    touch(*(tmp_path / "hmdb" / "clap" / name for name in names))
    lists = tmp_path / "hmdb" / "testTrainMulti_7030_splits"
    lists.mkdir()
    (lists / "clap_test_split1.txt").write_text(
        "".join(f"{name} {side} \n" for name, side in zip(names, "120", strict=True))
    )
    (lists / "clap_test_split2.txt").write_text("nothing.avi 1\n")
    found = hmdb51(tmp_path / "hmdb")
    assert [(clip.source, clip.split) for clip in found.clips] == [("Some_film", "train"), ("Other", "test")]
    touch(tmp_path / "vgg" / "a_000030.mp4", tmp_path / "vgg" / "video" / "--b_000120.mp4")
    (tmp_path / "vgg" / "vggsound.csv").write_text('a,30,"playing, badly",train\n--b,120,rain,test\nc,1,rain,test\n')
    found = vggsound(tmp_path / "vgg")
    assert [clip.label for clip in found.clips] == ["playing, badly", "rain"] and found.missing == 1
    (tmp_path / "vgg" / "vggsound.csv").write_text("a,thirty,x,train\n")
    with pytest.raises(CounterdubError):
        vggsound(tmp_path / "vgg")


@pytest.mark.parametrize("task", LVU_TASKS)
def test_lvu_lists(tmp_path: Path, task: str) -> None:
    heads = {"view_count": "20000", "like_ratio": "900 100"}
    for number, side in enumerate(("train", "val", "test")):
        touch(tmp_path / "videos" / f"tt{number}.mp4")
        path = tmp_path / "lvu_1.0" / task / f"{side}.csv"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"label video youtube\n{heads.get(task, '2')} tt{number} yt{number}\n")
    found = lvu(tmp_path, task)
    assert [clip.split for clip in found.clips] == ["train", "valid", "test"]
    value = {"view_count": np.log(20000), "like_ratio": 9.0}.get(task, 2)
    assert float(found.clips[0].label) == pytest.approx(value)
    assert found.regression == (task in heads)


def test_schedules_are_the_papers() -> None:
    assert PAPER._replace(momentum=0) == ("sgd", 0.2, 200, 0, 0, 1024, 0)
    assert HARES._replace(momentum=0) == ("adam", 2e-4, 0, 400_000, 5_000, 64, 0)
    rates = [factor(step, 400, 50) for step in range(400)]
    assert rates[0] == 1 / 50 and rates[49] == 1 and rates[50] == 1
    assert rates[225] == pytest.approx(0.5) and rates[-1] < 1e-4
    assert len(LINEAR) == 1 and LINEAR[0] == Shape() and len(set(GRID)) == len(GRID) == 18 and Shape() in GRID


def test_probes_learn_classes_and_values() -> None:
    rng = np.random.default_rng(0)
    inputs = rng.standard_normal((400, 10)).astype(np.float32) * 30 + 5
    plane = inputs @ rng.standard_normal(10)
    signs = (plane > np.median(plane)).astype(np.int64)
    circle = (np.abs(plane - np.median(plane)) > np.quantile(np.abs(plane - np.median(plane)), 0.5)).astype(np.int64)
    quick = PAPER._replace(batch=64, epochs=60)
    linear = train(inputs[:300], signs[:300], Shape(), quick, classes=2)
    assert (predict(linear, inputs[300:]).argmax(1) == signs[300:]).mean() > 0.93
    scores = []
    for shape in (Shape(), Shape(1, 128)):
        probe = train(inputs[:300], circle[:300], shape, quick, classes=2)
        scores.append((predict(probe, inputs[300:]).argmax(1) == circle[300:]).mean())
    assert scores[1] > scores[0] + 0.15, "a hidden layer finds what a line cannot"
    value = train(inputs[:300], plane[:300], Shape(), quick, classes=0)
    error = ((predict(value, inputs[300:])[:, 0] - plane[300:]) ** 2).mean()
    assert error < 0.05 * plane.var()


@pytest.mark.parametrize("shape", [Shape(), Shape(1, 128), Shape(2, 512)])
def test_regressions_of_wide_and_alike_features_converge(shape: Shape) -> None:
    """As embeddings are: 1,024 numbers that move together. A step too long grows without end."""
    rng = np.random.default_rng(0)
    factors = rng.standard_normal((200, 4))
    inputs = (factors @ rng.standard_normal((4, 1024)) + 0.1 * rng.standard_normal((200, 1024))).astype(np.float32)
    values = factors[:, 0] * 3 + 10
    probe = train(inputs[:150], values[:150], shape, PAPER._replace(epochs=60), classes=0)
    error = ((predict(probe, inputs[150:])[:, 0] - values[150:]) ** 2).mean()
    assert error < 0.3 * values.var()


def test_long_probe(tones: Path) -> None:
    task = read_task(tones)
    with EmbeddingCache() as cache:
        result = evaluate_long(
            task, Subject(MelStatistics(), cache, "m"), schedule=HARES._replace(steps=400, warmup=5, rate=2e-3)
        )
    assert result["metrics"]["top1_acc"]["value"] > 0.9 and len(result["metrics"]["top1_acc"]["folds"]) == 3


def test_folder_of_classes(tmp_path: Path) -> None:
    touch(tmp_path / "train" / "a" / "1.mp4", tmp_path / "train" / "b" / "2.mp4", tmp_path / "test" / "a" / "3.mp4")
    found = classes(tmp_path)
    assert [(clip.label, clip.split) for clip in found.clips] == [("a", "train"), ("b", "train"), ("a", "test")]
