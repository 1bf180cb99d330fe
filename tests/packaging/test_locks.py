"""Locks hold one version of each direct dependency, and the check of it sees when they do not."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tomllib

import pytest

from requirements.check_locks import LOCKS, ROOT, direct_dependencies, first_without_wheel, pins, split_pins

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def test_a_package_pinned_twice_by_markers_is_listed() -> None:
    lock = "av==18.1.0 ; python_version < '3.12' \\\nav==19.0.2 ; python_version >= '3.12' \\\nnumpy==2.4.1 \\\n"
    assert split_pins({"run": lock}, {"av", "numpy"}) == ["av: 18.1.0 (run), 19.0.2 (run)"]


def test_a_package_with_one_version_in_each_of_two_locks_is_listed() -> None:
    assert split_pins({"run": "av==18.1.0 \\\n", "api": "av==18.0.0 \\\n"}, {"av"}) == [
        "av: 18.0.0 (api), 18.1.0 (run)"
    ]


def test_what_is_brought_by_others_is_not_looked_at() -> None:
    assert split_pins({"run": "six==1.1 \\\nsix==1.2 \\\n"}, {"av"}) == []


def test_the_locks_of_the_project_pass() -> None:
    locks = {path.stem: path.read_text() for path in LOCKS.glob("*.txt")}
    assert split_pins(locks, direct_dependencies(PROJECT)) == []
    done = subprocess.run([sys.executable, ROOT / "requirements/check_locks.py"], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr


def test_what_make_gpu_lays_over_the_environment_replaces_nothing() -> None:
    """Indirect dependencies too: they are installed one lock after the other, without looking at what is there."""
    locks = {name: (LOCKS / f"{name}.txt").read_text() for name in ("run", "test", "gpu")}
    assert split_pins(locks, {package for package, _, _ in pins(locks["gpu"])}) == []


@pytest.mark.parametrize("package", ["av", "numpy", "onnxruntime", "ctranslate2", "xllamacpp", "torch"])
def test_ranges_have_an_upper_bound(package: str) -> None:
    lines = [line for lines in PROJECT["optional-dependencies"].values() for line in lines] + PROJECT["dependencies"]
    ranges = [line for line in lines if line.startswith((f"{package}>", f"{package}<", f"{package}="))]
    assert ranges and all("<" in line for line in ranges)


@pytest.mark.network
@pytest.mark.skipif(not shutil.which("uv"), reason="needs uv")
def test_the_index_is_asked_for_wheels() -> None:
    assert first_without_wheel({"six": "1.17.0"}, "aarch64-manylinux_2_28", "3.13") is None
    asked = {"six": "1.17.0", "python-stretch": "0.3.1"}
    assert first_without_wheel(asked, "aarch64-manylinux_2_28", "3.13") == "python-stretch"
