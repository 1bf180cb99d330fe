"""Probes from files to results, on real odd clips laid out as the data sets are."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from services.cli.main import app
from shared.core.errors import CounterdubError
from trainer.evaluation.baselines import random_encoder
from trainer.evaluation.cache import EmbeddingCache
from trainer.evaluation.probes.clips import embed_clips, features
from trainer.evaluation.probes.listings import ucf101
from trainer.evaluation.probes.probe import GRID, LINEAR, PAPER
from trainer.evaluation.probes.protocol import evaluate
from trainer.evaluation.subject import Subject
from trainer.recipe import load_recipe

pytestmark = pytest.mark.slow


def probed(folder: Path, *options: str) -> list[dict[str, Any]]:
    """What ``counterdub eval probe`` writes; nothing beside its own folder of results."""
    done = CliRunner().invoke(
        app,
        f"eval probe {folder} -c random:tiny-en --linear --epochs 5 --out {folder / 'runs'} --device cpu --json".split()
        + list(options),
    )
    assert done.exit_code == 0, done.output
    results: list[dict[str, Any]] = json.loads(done.output)["results"]
    return results


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


def test_ucf101(data_dir: Path, tmp_path: Path) -> None:
    """UCF101's layout with real AVI clips without sound: pictures, both streams, one broken file, the command."""
    folder = real_ucf101(tmp_path / "ucf", data_dir / "silent-video")
    found = ucf101(folder)
    encoder = random_encoder(load_recipe("tiny-en"))
    quick = PAPER._replace(epochs=30)
    with EmbeddingCache(tmp_path / "cache.db") as cache:
        result = evaluate(found, Subject(encoder, cache, "r"), streams="video", grid=GRID[:4], schedule=quick)
        assert result["metrics"]["top1_acc"]["value"] in {0.0, 1 / 3, 2 / 3, 1.0}
        assert result["cost"]["embedded"] == 9 and result["data"]["splits"] == {"test": 3, "train": 6}
        joined = evaluate(found, Subject(encoder, cache, "r"), streams="both", grid=LINEAR, schedule=quick)
        assert joined["cost"]["embedded"] == 0, "nothing is decoded twice"
        files = embed_clips(encoder, [clip.file for clip in found.clips], cache)
        both, there = features(files, "both")
        assert there.all() and both.shape == (9, encoder.audio_size + encoder.video_size)
        broken = tmp_path / "broken.avi"
        broken.write_bytes(b"no video")
        spoilt = found._replace(clips=[*found.clips, found.clips[0]._replace(file=broken)])
        result = evaluate(spoilt, Subject(encoder, cache, "r"), streams="video", grid=LINEAR, schedule=quick)
        assert sum(result["data"]["skipped"].values()) == 1
        only = found._replace(clips=[clip._replace(file=broken) for clip in found.clips])
        with pytest.raises(CounterdubError) as caught:
            evaluate(only, Subject(encoder, cache, "r"), streams="video", grid=LINEAR, schedule=quick)
        assert caught.value.code == "no_clips"
    (written,) = probed(folder, "--layout", "ucf101", "--cache", str(tmp_path / "cache.db"))
    assert written["name"] == "ucf101" and written["cost"]["embedded"] == 0


def test_hmdb51(data_dir: Path, tmp_path: Path) -> None:
    """Two actions: its own clapping, some with sound; and archery under names like its own."""
    clips = data_dir / "silent-video"
    clapping = sorted(clips.glob("*_clap_*.avi"))
    names = {"clap": {file.name: file for file in clapping}}
    names["shoot_bow"] = {
        f"Film{n}_shoot_bow_f_cm_np1_ri_med_0.avi": file for n, file in enumerate(sorted(clips.glob("v_Archery*.avi")))
    }
    lists = tmp_path / "testTrainMulti_7030_splits"
    lists.mkdir()
    for action, files in names.items():
        (tmp_path / action).mkdir()
        for name, file in files.items():
            (tmp_path / action / name).symlink_to(file)
        sides = ["2", *"1" * (len(files) - 2), "0"]
        rows = (f"{name} {side} \n" for name, side in zip(files, sides, strict=True))
        (lists / f"{action}_test_split1.txt").write_text("".join(rows))
    (written,) = probed(tmp_path, "--layout", "hmdb51")
    assert written["data"]["splits"] == {"test": 2, "train": len(clapping) - 2 + 4}
    assert written["metrics"]["top1_acc"]["value"] in {0.0, 0.5, 1.0}


def real_vggsound(folder: Path, clips: Path) -> Path:
    """Dubbed shots; the class is the shot. German and Italian are tested on."""
    rows = []
    for number, file in enumerate(sorted(clips.glob("*.mp4"))):
        shot, _, language = file.stem.rpartition("_")
        (folder / f"video{number}_000010.mp4").symlink_to(file)
        rows.append(f'video{number},10,"shot, {shot}",{"test" if language in {"de", "it"} else "train"}')
    (folder / "vggsound.csv").write_text("\n".join(rows) + "\n")
    return folder


@pytest.mark.parametrize("streams", ["audio", "both"])
def test_vggsound(data_dir: Path, tmp_path: Path, streams: str) -> None:
    folder = real_vggsound(tmp_path, data_dir / "dubbed-shots")
    (written,) = probed(folder, "--layout", "vggsound", "--streams", streams)
    assert written["data"]["splits"] == {"test": 6, "train": 12}
    assert written["cost"]["embedded"] == 18
    assert 0 <= written["metrics"]["top1_acc"]["value"] <= 1
    if streams == "both":
        assert written["metrics"]["top1_acc"]["value"] == 1, "the picture of a shot is the same in every language"


def test_lvu(data_dir: Path, tmp_path: Path) -> None:
    """A task of classes and one of values, over the same clips: each is embedded once."""
    files = sorted((data_dir / "dubbed-shots").glob("*.mp4"))
    for number, file in enumerate(files):
        (tmp_path / f"tt{number}.mp4").symlink_to(file)
    for task in ("scene", "view_count"):
        folder = tmp_path / "lvu_1.0" / task
        folder.mkdir(parents=True)
        for side, which in (("train", range(0, 18, 3)), ("val", range(1, 18, 3)), ("test", range(2, 18, 3))):
            rows = (f"{n // 6 if task == 'scene' else 10 ** (2 + n // 6)} tt{n} yt{n}" for n in which)
            (folder / f"{side}.csv").write_text("label video youtube\n" + "\n".join(rows) + "\n")
    scene, views = probed(tmp_path, "--layout", "lvu", "--task", "scene", "--task", "view_count")
    assert scene["metrics"]["top1_acc"]["value"] == 1
    assert views["cost"]["embedded"] == 0
    # The values are ln 100, ln 1,000 and ln 10,000, a third of the clips each: their mean alone errs by 3.5.
    assert views["metrics"]["error"]["value"] < 3.5
