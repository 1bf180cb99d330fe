"""Shards from an output folder: what is in them, and that nothing is done twice or by halves."""

from __future__ import annotations

import io
import json
import shutil
import signal
import subprocess
import tarfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import soundfile as sf

from shared.audio import files
from shared.core.errors import CounterdubError, InputError
from shared.media import child
from tests.conftest import ROOT
from tests.integration.films.cli import COMMAND
from tests.unit.trainer.shards.conftest import SHOTS, rows_of, write_pairs
from trainer.shards.index import open_index
from trainer.shards.index_merge import write_index
from trainer.shards.pairs import Planned, plan_pairs
from trainer.shards.shard_building import make_shards
from trainer.shards.tar import shard_path
from trainer.shards.verification import verify


def samples_of(tar: Path) -> dict[str, dict[str, bytes]]:
    """Members by key and extension, as WebDataset groups them: the name is cut at its first dot."""
    found: dict[str, dict[str, bytes]] = {}
    with tarfile.open(tar) as file:
        for member in file:
            key, _, extension = member.name.partition(".")
            found.setdefault(key, {})[extension] = file.extractfile(member).read()
    return found


@pytest.fixture(scope="module")
def shards(made_out: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shards")
    summary = make_shards(plan_pairs(made_out), folder, shots_a_shard=3, jobs=1)
    assert (summary.shots, summary.titles, summary.made) == (4, 2, 2)
    assert summary.tracks == {"orig": 4, "control": 4, "es": 4, "background": 4}
    return folder


def test_a_shot_has_its_picture_and_every_track_cut_to_the_sample(shards: Path, made_out: Path) -> None:
    members = {**samples_of(shard_path(shards, 0)), **samples_of(shard_path(shards, 1))}
    assert len(members) == 4 and not any("." in key for key in members)
    for shot in SHOTS:
        found = members[f"one_{shot.index:04d}"]
        facts = json.loads(found["json"])
        assert set(found) == {"mp4", "json", *(f"{name}.flac" for name in ("orig", "control", "es", "background"))}
        assert facts["samples"] == round((shot.end - shot.start) * 48_000)
        assert facts["tracks"]["es"] == facts["tracks"]["es"] | {"language": "es", "speech_ratio": 0.5}
        for name in ("orig", "control", "es", "background"):
            folder = "stems" if name == "background" else "tracks"
            whole = files.read_audio(made_out / "one" / folder / f"{name}.flac")[0]
            first = round(shot.start * 48_000)
            cut = np.rint(whole[first : first + facts["samples"]].astype(np.float64) * 2**15).astype(np.int16)
            sound, rate = sf.read(io.BytesIO(found[f"{name}.flac"]), dtype="int16")
            assert rate == 48_000
            np.testing.assert_array_equal(sound, cut)


def test_the_picture_is_25_a_second_seekable_and_silent(shards: Path) -> None:
    data = samples_of(shard_path(shards, 0))["one_0002"]["mp4"]
    with av.open(io.BytesIO(data), "r") as container:
        assert [stream.type for stream in container.streams] == ["video"]
        packets = [packet for packet in container.demux(video=0) if packet.size]
        keys = [round(p.pts * p.time_base * 25) for p in packets if p.is_keyframe]
        ticks = sorted(round(p.pts * p.time_base * 25) for p in packets)
    assert ticks == list(range(90))  # 3.603 s
    assert max(np.diff([*keys, 90])) <= 25 and keys[0] == 0


def test_the_frames_are_those_that_a_player_shows(shards: Path, made_out: Path) -> None:
    data = samples_of(shard_path(shards, 0))["one_0002"]["mp4"]
    with av.open(io.BytesIO(data), "r") as ours, av.open(str(made_out / "one/shots/one_2_en.mp4")) as source:
        shown = [(float(frame.time), frame.to_ndarray(format="gray")) for frame in source.decode(video=0)]
        for tick, frame in enumerate(ours.decode(video=0)):
            latest = [image for time, image in shown if time <= tick / 25 + 1e-4][-1]
            error = np.abs(frame.to_ndarray(format="gray").astype(int) - latest).mean()
            assert error < 2.5, tick


def test_bytes_depend_on_neither_jobs_nor_run(shards: Path, made_out: Path, tmp_path: Path) -> None:
    make_shards(plan_pairs(made_out), tmp_path, shots_a_shard=3, jobs=2)
    for number in (0, 1):
        assert shard_path(shards, number).read_bytes() == shard_path(tmp_path, number).read_bytes()
    assert open_index(shards).digest == open_index(tmp_path).digest


def test_what_is_whole_is_not_made_again(out: Path, tmp_path: Path) -> None:
    to = tmp_path / "to"
    make_shards(plan_pairs(out), to, shots_a_shard=1)
    before = {path.name: path.stat().st_mtime_ns for path in to.glob("*.tar")}
    (to / "shard-000001.json").unlink()
    (to / "shard-000009.tar.half").write_bytes(b"half")
    again = make_shards(plan_pairs(out), to, shots_a_shard=1)
    after = {path.name: path.stat().st_mtime_ns for path in to.glob("*.tar")}
    assert (again.made, again.kept) == (1, 3)
    assert {name for name in before if before[name] != after[name]} == {"shard-000001.tar"}
    assert not list(to.glob("*.half")) and not verify(to).problems


def test_only_what_changed_is_made_again(out: Path, tmp_path: Path) -> None:
    to = tmp_path / "to"
    make_shards(plan_pairs(out), to, shots_a_shard=2)
    files.write(out / "one/tracks/es.flac", np.zeros((1, 8 * 48_000), np.float32))
    changed = make_shards(plan_pairs(out), to, shots_a_shard=2)
    assert (changed.made, changed.kept) == (1, 1)
    sound, _ = sf.read(io.BytesIO(samples_of(shard_path(to, 0))["one_0000"]["es.flac"]))
    assert not sound.any()
    write_pairs(out, rows_of("one"))
    fewer = make_shards(plan_pairs(out), to, shots_a_shard=2)
    assert (fewer.made, fewer.kept, fewer.titles) == (0, 1, 1)


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_a_stopped_run_leaves_no_half_shard(how: signal.Signals, out: Path, tmp_path: Path) -> None:
    for attempt in range(5):  # it may be done before the signal comes
        to = tmp_path / f"to{attempt}"
        command = [*COMMAND, "shards", str(out), "--to", str(to), "--shots-a-shard", "1", "--jobs", "1"]
        process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL)
        while not list(to.glob("shard-*.json")) and process.poll() is None:
            time.sleep(0.01)
        process.send_signal(how)
        code = process.wait()
        if len(list(to.glob("shard-*.json"))) < 4:
            break
    if how == signal.SIGINT:
        assert code == 130 and not list(to.glob(".shard-*"))
    finished = len(list(to.glob("shard-*.json")))
    assert 1 <= finished < 4
    summary = make_shards(plan_pairs(out), to, shots_a_shard=1)
    assert (summary.made, summary.kept) == (4 - finished, finished)
    assert not verify(to).problems and not list(to.glob(".shard-*"))


def test_what_brings_down_the_decoder_is_one_shot_lost(
    out: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = child.call

    def crash(target: str, arguments: dict[str, Any], **options: Any) -> Any:
        if any(plan["key"] == "one_0002" for plan in arguments["plans"]):
            raise InputError("The decoder crashed.", code="decode_crashed")
        return real(target, arguments, **options)

    monkeypatch.setattr(child, "call", crash)
    summary = make_shards(plan_pairs(out), tmp_path / "to")
    assert summary.shots == 3 and summary.skipped == {"decode_crashed": 1}


def test_missing_files_are_counted(out: Path, tmp_path: Path) -> None:
    for clip in (out / "one" / "shots").glob("one_0_*.mp4"):
        clip.unlink()
    (out / "two.b/tracks/es.flac").write_bytes(b"fLaC but no sound")
    summary = make_shards(plan_pairs(out), tmp_path / "to")
    assert summary.skipped == {"no_picture": 1}
    assert summary.left_out == {"es: bad_audio": 2}
    assert summary.shots == 3 and summary.tracks["es"] == 1


def test_nothing_at_all_is_an_error(out: Path, tmp_path: Path) -> None:
    with pytest.raises(CounterdubError) as none:
        make_shards(Planned([], Counter(no_orig=3)), tmp_path / "to")
    assert none.value.code == "empty_dataset" and "3 no_orig" in none.value.message


def test_a_table_cannot_reach_outside_of_its_folder(out: Path) -> None:
    write_pairs(out, [row.model_copy(update={"track_path": "../../secret.flac"}) for row in rows_of("one")])
    with pytest.raises(CounterdubError) as outside:
        plan_pairs(out)
    assert outside.value.code == "unsafe_path"


def test_two_runs_into_one_folder(out: Path, tmp_path: Path) -> None:
    from filelock import FileLock

    with FileLock(tmp_path / ".lock"), pytest.raises(CounterdubError) as both:
        make_shards(plan_pairs(out), tmp_path)
    assert both.value.code == "locked"


@pytest.mark.parametrize("damage", ["byte", "tar", "index", "other"])
def test_verify_finds(damage: str, shards: Path, tmp_path: Path) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(shards, folder)
    assert not verify(folder).problems
    tar = shard_path(folder, 1)
    if damage == "byte":
        data = bytearray(tar.read_bytes())
        data[len(data) // 2] ^= 1
        tar.write_bytes(data)
    elif damage == "tar":
        tar.unlink()
    elif damage == "index":
        column = next(folder.glob("index-*")) / "offset.npy"
        values = np.load(column)
        values[3] += 512
        np.save(column, values)
    else:
        tar.unlink()
        (folder / "shard-000001.json").unlink()
        head = (folder / "index.json").read_text()
        write_index(folder)
        columns = next(folder.glob("index-*"))
        columns.rename(folder / json.loads(head)["columns"])
        (folder / "index.json").write_text(head)
        with pytest.raises(CounterdubError) as wrong:
            verify(folder)
        assert wrong.value.code == "bad_index"
        return
    assert list(verify(folder).problems) == (["index"] if damage == "index" else ["shard-000001.tar"])


def test_the_index_holds_what_the_tars_hold(shards: Path) -> None:
    index = open_index(shards)
    assert index.tracks == ("orig", "control", "background", "es")
    for row in range(len(index)):
        content = shard_path(shards, int(index.shard[row])).read_bytes()
        for name, (offset, size) in index.locate(row).items():
            head = {"mp4": content[offset + 4 : offset + 8] == b"ftyp", "json": content[offset : offset + 1] == b"{"}
            assert head.get(name, content[offset : offset + 4] == b"fLaC")
            assert offset + size <= len(content)
