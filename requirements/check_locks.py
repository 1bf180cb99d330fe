"""Check the locks: one version of each direct dependency (``make lint``), wheels for every platform (``--platforms``).

A package that is pinned twice, by markers, is tested in one version and shipped in another. The second check asks the
package index, through uv, whether each pinned package has a wheel for each platform that the README names.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tomllib
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from packaging.markers import Marker
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]
LOCKS = ROOT / "requirements"

PYTHONS = ("3.11", "3.12", "3.13")
PLATFORMS: Mapping[str, Mapping[str, str]] = {
    "x86_64-manylinux_2_28": {"sys_platform": "linux", "platform_system": "Linux", "platform_machine": "x86_64"},
    "aarch64-manylinux_2_28": {"sys_platform": "linux", "platform_system": "Linux", "platform_machine": "aarch64"},
    "aarch64-apple-darwin": {"sys_platform": "darwin", "platform_system": "Darwin", "platform_machine": "arm64"},
}
"""uv's names, and what markers see there. Linux of 2018 and later (glibc 2.28), macOS 14 and later."""


def pins(lock: str) -> Iterable[tuple[str, str, str]]:
    """Package, version and marker of every line of a lock that pins something."""
    for line in lock.splitlines():
        if match := re.match(r"([A-Za-z0-9._-]+)==(\S+)(?: ; (.*?))?\s*\\?$", line):
            yield canonicalize_name(match[1]), match[2], match[3] or ""


def direct_dependencies(project: Mapping[str, Any]) -> set[str]:
    """Names of all packages that the project file asks for, extras too."""
    table: Mapping[str, list[str]] = {"": project["dependencies"], **project["optional-dependencies"]}
    names: set[str] = {canonicalize_name(Requirement(line).name) for lines in table.values() for line in lines}
    return names - {"counterdub"}


def split_pins(locks: Mapping[str, str], direct: set[str]) -> list[str]:
    """Lines about direct dependencies that have several versions, in one lock or over all."""
    versions: dict[str, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    for name, lock in locks.items():
        for package, version, _ in pins(lock):
            if package in direct:
                versions[package][version].add(name)
    return [
        f"{package}: " + ", ".join(f"{version} ({' '.join(sorted(where))})" for version, where in sorted(found.items()))
        for package, found in sorted(versions.items())
        if len(found) > 1
    ]


def first_without_wheel(packages: Mapping[str, str], platform: str, python: str) -> str | None:
    """Name of a package whose version has no wheel for the platform; None where all have.

    Raises:
        RuntimeError: The index did not answer, or uv said something else.
    """
    done = subprocess.run(
        [
            *("uv", "pip", "compile", "--quiet", "--no-deps", "--no-config", "--only-binary", ":all:", "--no-header"),
            *("--python-platform", platform, "--python-version", python, "-"),
        ],
        input="".join(f"{package}=={version}\n" for package, version in packages.items()),
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "MACOSX_DEPLOYMENT_TARGET": "14.0"},
    )
    if done.returncode == 0:
        return None
    said = " ".join(done.stderr.split())
    if match := re.search(r"Because (\S+?)==\S+ has no (?:usable |compatible )?wheels", said):
        return canonicalize_name(match[1])
    raise RuntimeError(f"{platform}, Python {python}: {done.stderr.strip()}")


def missing_wheels(lock: str) -> dict[str, set[str]]:
    """Package → platforms and Pythons for which it has no wheel."""
    missing: dict[str, set[str]] = defaultdict(set)
    for platform, facts in PLATFORMS.items():
        for python in PYTHONS:
            seen = {**facts, "python_version": python, "python_full_version": f"{python}.9"}
            asked = {
                package: version
                for package, version, marker in pins(lock)
                if not marker or Marker(marker).evaluate(seen)
            }
            while lacking := first_without_wheel(asked, platform, python):
                missing[f"{lacking}=={asked.pop(lacking)}"].add(f"{platform}, Python {python}")
    return dict(missing)


def main() -> None:
    parser = argparse.ArgumentParser(description="Check the locks.")
    parser.add_argument("--platforms", nargs="*", metavar="LOCK", help="ask the index for wheels; default run, trainer")
    given = parser.parse_args()
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    locks = {path.stem: path.read_text() for path in sorted(LOCKS.glob("*.txt"))}
    if split := split_pins(locks, direct_dependencies(project)):
        sys.exit("Direct dependencies with more than one pinned version:\n  " + "\n  ".join(split))
    if given.platforms is None:
        return
    for name in given.platforms or ["run", "trainer"]:
        missing = missing_wheels(locks[name])
        if missing:
            lines = [f"{package}: {'; '.join(sorted(where))}" for package, where in sorted(missing.items())]
            sys.exit(f"Packages of {name} without a wheel:\n  " + "\n  ".join(lines))
        print(f"{name}: wheels for {', '.join(PLATFORMS)} on Python {', '.join(PYTHONS)}")


if __name__ == "__main__":
    main()
