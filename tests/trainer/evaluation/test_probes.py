"""Probes of pictures and sounds: published lists, schedules, and the whole on real odd clips."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from services.cli.main import app
from shared.errors import CounterdubError
from trainer.evaluation.baselines import MelStatistics, random_encoder
from trainer.evaluation.cache import EmbeddingCache
from trainer.evaluation.clips import embed_clips, features
from trainer.evaluation.listings import LVU_TASKS, classes, hmdb51, lvu, ucf101, vggsound
from trainer.evaluation.probe import GRID, HARES, LINEAR, PAPER, Shape, factor, predict, train
from trainer.evaluation.probe_run import evaluate, evaluate_long
from trainer.evaluation.tasks import read_task
from trainer.recipe import load_recipe


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


def real_ucf101(folder: Path, clips: Path) -> Path:
    """Real clips under UCF101's layout: archery and golf; group g01 and g02 of golf, archery's clips by number."""
    for file in sorted(clips.glob("v_*.avi")):
        action = file.stem.split("_")[1]
        (folder / action).mkdir(parents=True, exist_ok=True)
        # The clips here are of few groups: each counts as its own, so that there is something to train on.
        group = int(file.stem[-2:]) + (20 if "_g02" in file.stem else 0)
        (folder / action / f"v_{action}_g{group:02d}_c01.avi").symlink_to(file)
    lists = folder / "ucfTrainTestlist"
    lists.mkdir()
    (lists / "trainlist01.txt").write_text(
        "".join(f"Archery/v_Archery_g{g:02d}_c01.avi 1\n" for g in (2, 3, 4, 5))
        + "".join(f"GolfSwing/v_GolfSwing_g{g:02d}_c01.avi 2\n" for g in (6, 21))
    )
    (lists / "testlist01.txt").write_text(
        "".join(f"Archery/v_Archery_g{g:02d}_c01.avi\n" for g in (6, 7)) + "GolfSwing/v_GolfSwing_g22_c01.avi\n"
    )
    return folder


@pytest.mark.slow
def test_whole_on_real_clips(data_dir: Path, tmp_path: Path) -> None:
    """UCF101's layout with real AVI clips without sound: pictures, both streams, one broken file, the command."""
    folder = real_ucf101(tmp_path / "ucf", data_dir / "silent-video")
    found = ucf101(folder)
    encoder = random_encoder(load_recipe("tiny-en"))
    quick = PAPER._replace(epochs=30)
    with EmbeddingCache(tmp_path / "cache.db") as cache:
        result = evaluate(found, encoder, cache, label="r", streams="video", grid=GRID[:4], schedule=quick)
        assert result["metrics"]["top1_acc"]["value"] in {0.0, 1 / 3, 2 / 3, 1.0}
        assert result["cost"]["embedded"] == 9 and result["data"]["splits"] == {"test": 3, "train": 6}
        joined = evaluate(found, encoder, cache, label="r", streams="both", grid=LINEAR, schedule=quick)
        assert joined["cost"]["embedded"] == 0, "nothing is decoded twice"
        files = embed_clips(encoder, [clip.file for clip in found.clips], cache)
        both, there = features(files, "both")
        assert there.all() and both.shape == (9, encoder.audio_size + encoder.video_size)
        broken = tmp_path / "broken.avi"
        broken.write_bytes(b"no video")
        spoilt = found._replace(clips=[*found.clips, found.clips[0]._replace(file=broken)])
        result = evaluate(spoilt, encoder, cache, label="r", streams="video", grid=LINEAR, schedule=quick)
        assert sum(result["data"]["skipped"].values()) == 1
        only = found._replace(clips=[clip._replace(file=broken) for clip in found.clips])
        with pytest.raises(CounterdubError) as caught:
            evaluate(only, encoder, cache, label="r", streams="video", grid=LINEAR, schedule=quick)
        assert caught.value.code == "no_clips"
    done = CliRunner().invoke(
        app,
        f"eval probe {folder} --layout ucf101 -c random:tiny-en --linear --epochs 5 --cache {tmp_path / 'cache.db'} "
        f"--out {tmp_path / 'runs'} --device cpu --json".split(),
    )
    assert done.exit_code == 0, done.output
    written = json.loads(done.output)["results"][0]
    assert written["name"] == "ucf101" and written["cost"]["embedded"] == 0


def test_long_probe(tones: Path) -> None:
    task = read_task(tones)
    with EmbeddingCache() as cache:
        result = evaluate_long(
            task, MelStatistics(), cache, label="m", schedule=HARES._replace(steps=400, warmup=5, rate=2e-3)
        )
    assert result["metrics"]["top1_acc"]["value"] > 0.9 and len(result["metrics"]["top1_acc"]["folds"]) == 3


def test_folder_of_classes(tmp_path: Path) -> None:
    touch(tmp_path / "train" / "a" / "1.mp4", tmp_path / "train" / "b" / "2.mp4", tmp_path / "test" / "a" / "3.mp4")
    found = classes(tmp_path)
    assert [(clip.label, clip.split) for clip in found.clips] == [("a", "train"), ("b", "train"), ("a", "test")]
