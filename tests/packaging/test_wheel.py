"""The wheel, installed into an empty environment, works outside the checkout: dub, serve and its page, train, eval.

Takes what it depends on from the package index, at the versions of the locks: ``make test-wheel``.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import urllib.request
import wave
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from tests.conftest import ROOT
from tests.sample.cut import cut

pytestmark = [pytest.mark.network, pytest.mark.slow]


class Installation:
    """An environment with the wheel in it, used from a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environment = {
            key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "VIRTUAL_ENV", "PYTHONHOME")
        }

    def run(self, *command: object, seconds: float = 900) -> str:
        """What the command prints; the test fails where it fails."""
        done = subprocess.run(
            [str(self.folder / "venv" / "bin" / str(command[0])), *map(str, command[1:])],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout


def build(target: Path) -> Path:
    """The wheel of what git knows of, built in a copy: nothing is left behind in the checkout."""
    source = target / "source"
    for name in subprocess.check_output(["git", "ls-files"], cwd=ROOT, text=True).splitlines():
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, source / name)
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--wheel-dir"]
    subprocess.run([*command, target, source], check=True)
    return next(target.glob("*.whl"))


def constraints(target: Path, locks: Sequence[str]) -> Path:
    """The locks' versions, without hashes, as pip wants constraints."""
    lines = [
        line.rstrip(" \\")
        for lock in locks
        for line in (ROOT / "requirements" / lock).read_text().splitlines()
        if re.match(r"[\w.-]+==", line)
    ]
    target.write_text("\n".join(lines))
    return target


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Installation:
    folder = tmp_path_factory.mktemp("wheel")
    wheel = build(folder)
    subprocess.run([sys.executable, "-m", "venv", folder / "venv"], check=True)
    installed = Installation(folder)
    installed.run(
        *("python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--only-binary=:all:"),
        *("--constraint", constraints(folder / "constraints.txt", ["run.txt", "test.txt", "torch.txt"])),
        f"{wheel}[serve,espeak,trainer]",
    )
    return installed


def test_nothing_comes_from_the_checkout(installation: Installation) -> None:
    told = installation.run(
        "python", "-c", "import counterdub, services, shared, trainer; print(counterdub.__file__, *services.__path__)"
    )
    assert str(ROOT) not in told and "site-packages" in told


def test_dub(installation: Installation) -> None:
    clip = cut(12, installation.folder / "film.mp4")
    installation.run("counterdub", "models", "pull")
    installation.run("counterdub", "dub", clip, "--lang", "es", "--out", "out")
    out = installation.folder / "out"
    assert {path.name for path in (out / "film" / "tracks").iterdir()} == {"orig.flac", "control.flac", "es.flac"}
    assert pq.read_table(out / "pairs.parquet").num_rows + pq.read_table(out / "rejects.parquet").num_rows > 0
    assert "<html" in (out / "report.html").read_text()[:1000]


def test_serve_with_its_page(installation: Installation) -> None:
    served = subprocess.Popen(
        [installation.folder / "venv" / "bin" / "counterdub", "serve", "--data", "data", "--port", "0", "--json"],
        cwd=installation.folder,
        env=installation.environment,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert served.stdout is not None
        text = ""
        while not text.endswith("}\n"):
            line = served.stdout.readline()
            assert line, text
            text += line
        url = json.loads(text)["url"]
        with urllib.request.urlopen(f"{url}/", timeout=30) as answer:
            page = answer.read().decode()
        assets = re.findall(r'(?:src|href)="(/[^"]+\.(?:js|css))"', page)
        assert assets
        for asset in assets:
            with urllib.request.urlopen(url + asset, timeout=30) as answer:
                assert len(answer.read()) > 500
        with urllib.request.urlopen(f"{url}/v1/openapi.json", timeout=30) as answer:
            assert json.load(answer)["info"]["title"]
    finally:
        served.terminate()
        assert served.wait(60) == 0


def test_train_and_eval(installation: Installation) -> None:
    recipes = installation.run("counterdub", "train", "--list")
    assert "aud-efj" in recipes and "tiny-es" in recipes
    sounds = installation.folder / "sounds"
    noise = np.random.default_rng(0)
    for kind in ("hum", "hiss"):
        (sounds / kind).mkdir(parents=True)
        for number in range(10):
            tone = np.sin(np.arange(16_000) * (0.02 + 0.01 * noise.random()))
            sound = tone if kind == "hum" else noise.uniform(-0.5, 0.5, 16_000)
            with wave.open(str(sounds / kind / f"{number}.wav"), "wb") as file:
                file.setparams((1, 2, 16_000, 0, "NONE", ""))
                file.writeframes((sound * 20_000).astype(np.int16).tobytes())
    installation.run("counterdub", "eval", "layout", "folders", sounds, "--to", "tasks/hum")
    installation.run("counterdub", "eval", "hear", "tasks/hum", "-c", "mel-statistics", "--out", "results")
    table = installation.run("counterdub", "eval", "table", "results", "--html", "results/page.html")
    assert "mel-statistics" in table
    assert (installation.folder / "results" / "page.html").stat().st_size > 1000
