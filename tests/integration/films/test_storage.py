"""The place for the results: not writable, or full."""

from __future__ import annotations

import errno
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from shared.core.store import Store
from tests.integration.films import cli
from tests.unit.shared.media import odd


@pytest.mark.parametrize("below", ["", "deeper"], ids=["is_a_file", "lies_below_a_file"])
def test_output_folder_not_writable(tmp_path: Path, all_weights: None, below: str) -> None:
    film = odd.clip(tmp_path / "film.mp4", 0.2, sound=None)
    (tmp_path / "file.txt").write_text("mine")
    result = cli.here("dub", film, "-l", "en", "-o", tmp_path / "file.txt" / below, "--json")
    assert result.code == 3
    assert result.error["code"] in {"not_writable"} and "another output folder" in result.error["message"]
    assert (tmp_path / "file.txt").read_text() == "mine"


@pytest.fixture
def hiss(tmp_path: Path) -> Path:
    """4 s of noise: a master of about half a megabyte, and no speech that would take engines long."""
    noise = 0.1 * np.random.default_rng(0).standard_normal(4 * 48000).astype(np.float32)
    return odd.clip(tmp_path / "hiss.mp4", 4.0, sound=noise)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A real disk of 2 MB, where mounting one is allowed."""
    folder = tmp_path / "disk"
    folder.mkdir()
    try:
        mounted = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", folder], check=False, capture_output=True
        )
    except FileNotFoundError:
        pytest.skip("there is no mount here")
    if mounted.returncode:
        pytest.skip("mounting is not allowed here")
    yield folder
    subprocess.run(["umount", folder], check=True)


@pytest.mark.slow
def test_disk_full_really_then_larger_and_run_again(hiss: Path, disk: Path, all_weights: None) -> None:
    result = cli.here("dub", hiss, "-l", "en", "-o", disk / "out", *cli.LIGHT, *cli.ENGLISH, "--json")
    assert result.code == 3
    assert result.error["code"] == "disk_full" and result.error["retryable"]
    assert "Free some space" in result.error["message"] and result.error["stage"]
    subprocess.run(["mount", "-o", "remount,size=64m", disk], check=True)
    again = cli.here("dub", hiss, "-l", "en", "-o", disk / "out", *cli.LIGHT, *cli.ENGLISH, "--json")
    assert again.code == 0
    assert again.data["cached_tasks"] >= 1, "what was finished before the disk was full is kept"


@pytest.mark.parametrize("size", ["40k", "100k", "200k"])
def test_disk_full_from_the_first_byte(hiss: Path, disk: Path, all_weights: None, size: str) -> None:
    """Also where it is the database that finds no room."""
    subprocess.run(["mount", "-o", f"remount,size={size}", disk], check=True)
    result = cli.here("dub", hiss, "-l", "en", "-o", disk / "out", *cli.LIGHT, *cli.ENGLISH, "--json")
    assert result.code == 3 and result.error["code"] == "disk_full"


@pytest.mark.slow
def test_disk_full_simulated(hiss: Path, all_weights: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same without a right to mount: the eighth file finds no room in the store."""
    place, calls = Store._place, []

    def full(self: Store, source: Path, target: Path, move: bool) -> None:
        calls.append(target)
        if len(calls) > 7:
            raise OSError(errno.ENOSPC, "No space left on device")
        place(self, source, target, move)

    out = hiss.parent / "out"
    with monkeypatch.context() as patch:
        patch.setattr(Store, "_place", full)
        result = cli.here("dub", hiss, "-l", "en", "-o", out, *cli.LIGHT, *cli.ENGLISH, "--json")
    assert result.code == 3 and result.error["code"] == "disk_full" and result.error["retryable"]
    again = cli.here("dub", hiss, "-l", "en", "-o", out, *cli.LIGHT, *cli.ENGLISH, "--json")
    assert again.code == 0 and again.data["cached_tasks"] >= 2
