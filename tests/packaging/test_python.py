"""A Python that is too old or too new is refused before anything is installed, with the command that helps."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from requirements.check_python import installed, names_of, refusal, supported_range
from tests.conftest import ROOT

FIRST, END = supported_range((ROOT / "pyproject.toml").read_text())
VERSIONS = Path(os.environ.get("PYENV_ROOT", "~/.pyenv")).expanduser() / "versions"
OTHERS = {
    tuple(int(part) for part in python.parts[-3].split(".")[:2]): python
    for python in VERSIONS.glob("[23].*/bin/python")
}
UNSUPPORTED = [OTHERS[version] for version in sorted(OTHERS) if not FIRST <= version < END]


def test_supported_versions_pass() -> None:
    assert all(refusal((3, minor), FIRST, END, []) is None for minor in (11, 12, 13))
    assert FIRST <= sys.version_info[:2] < END


@pytest.mark.parametrize("version", [(2, 7), (3, 10), (3, 14), (4, 0)])
def test_others_are_refused_with_the_command_that_helps(version: tuple[int, int]) -> None:
    assert "make PYTHON=python3.12 demo" in refusal(version, FIRST, END, ["python3.12"])
    without = refusal(version, FIRST, END, [])
    assert "pyenv install 3.13" in without and "make PYTHON=python3.13 demo" in without
    assert ("UNSUPPORTED_PYTHON=1" in without) == (version >= END)


def test_an_interpreter_that_fits_is_found_on_the_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name = "python{}.{}".format(*sys.version_info[:2])
    (tmp_path / name).symlink_to(Path(sys.executable).resolve())
    (tmp_path / "python3.99").write_text("#!/bin/sh\nexit 127\n")
    (tmp_path / "python3.99").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setenv("PYENV_ROOT", str(tmp_path / "none"))
    assert installed([name, "python3.99"]) == [name]
    assert names_of((3, 11), (3, 14)) == ["python3.13", "python3.12", "python3.11"]


@pytest.mark.skipif(not UNSUPPORTED, reason="needs another Python that is not supported (under pyenv)")
@pytest.mark.parametrize("python", UNSUPPORTED[:1] + UNSUPPORTED[1:][-1:], ids=lambda python: python.parts[-3])
def test_make_refuses_it_before_anything_is_installed(tmp_path: Path, python: Path) -> None:
    done = subprocess.run(
        ["make", "setup", f"PYTHON={python}", f"VENV={tmp_path / 'venv'}"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode != 0
    assert "Counterdub runs on Python" in done.stderr and "make PYTHON=" in done.stderr
    assert "Traceback" not in done.stderr + done.stdout
    assert not (tmp_path / "venv").exists()
