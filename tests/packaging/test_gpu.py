"""``make gpu`` installs by locks, in a place where this project's ``trainer`` is found before that of coqui-tts."""

from __future__ import annotations

import os
import subprocess
import venv
from pathlib import Path

import pytest

from tests.conftest import ROOT

PIP = """
import os, sys
with open(os.environ["COMMANDS"], "a") as commands:
    print(*sys.argv[1:], file=commands)
"""


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """An environment after ``make gpu``, whose pip writes down what it is asked; Coqui's packages are stand-ins."""
    folder = tmp_path / "venv"
    venv.create(folder, with_pip=False)
    packages = next(folder.glob("lib/python*")) / "site-packages"
    for name, text in {
        "pip/__main__.py": PIP,
        "trainer/__init__.py": "",
        "torchaudio/__init__.py": "",
        "torchaudio/lib/libtorchaudio.so": "",
    }.items():
        (packages / name).parent.mkdir(parents=True, exist_ok=True)
        (packages / name).write_text(text, encoding="utf-8")
    (folder / "bin" / "counterdub").write_text("#!/bin/sh\n", encoding="utf-8")
    (folder / "bin" / "counterdub").chmod(0o755)
    (folder / "run").touch()  # what `make setup` leaves
    environment = {**os.environ, "COMMANDS": str(tmp_path / "commands")}
    done = subprocess.run(
        ["make", "gpu", f"VENV={folder}"], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def test_all_but_torch_is_held_to_hashes(installed: Path) -> None:
    engines, torch = (installed.parent / "commands").read_text(encoding="utf-8").splitlines()
    assert "--require-hashes" in engines and "--no-deps" in engines and engines.endswith("-r requirements/gpu.txt")
    assert torch.endswith("-r requirements/torch.txt")
    assert all("--only-binary=:all:" in line for line in (engines, torch))


def test_our_trainer_is_found_before_coquis(installed: Path) -> None:
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    found = subprocess.check_output(
        [installed / "bin" / "python", "-c", "import trainer; print(trainer.__file__)"],
        cwd=installed,
        env=environment,
        text=True,
    )
    assert Path(found.strip()).parent == ROOT / "trainer"


def test_torchaudios_compiled_part_is_taken_away(installed: Path) -> None:
    assert not list(installed.glob("lib/python*/site-packages/torchaudio/lib/*.so"))
