"""What docs and docstrings name is there: files, modules and what is in them."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

from tests.conftest import ROOT

FILE = re.compile(r"`+([\w./-]+\.py)`+")
NAME = re.compile(r":(?:mod|class|func|meth|data):`~?((?:shared|services|trainer|tests)\.[\w.]+)`")


def tracked() -> list[str]:
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True)
    return [name for name in listed.stdout.splitlines() if (ROOT / name).exists()]


def missing_files(text: str, files: list[str]) -> list[str]:
    """Files that a text names, whole or by the end of their path, and that are not there."""
    return [name for name in FILE.findall(text) if not any(f"/{file}".endswith(f"/{name}") for file in files)]


def names_something(dotted: str, root: Path) -> bool:
    """Whether a module is there, and in it the name that follows."""
    parts = dotted.split(".")
    for count in range(len(parts), 0, -1):
        path = root.joinpath(*parts[:count])
        for source in (path.with_suffix(".py"), path / "__init__.py"):
            if source.exists():
                rest = parts[count : count + 1]
                return not rest or re.search(rf"\b{rest[0]}\b", source.read_text(encoding="utf-8")) is not None
    return False


def test_what_docs_and_docstrings_name_is_there() -> None:
    files = tracked()
    lost = {}
    for name in files:
        if name.endswith((".md", ".py")):
            text = (ROOT / name).read_text(encoding="utf-8")
            wrong = [
                *missing_files(text, files),
                *(dotted for dotted in NAME.findall(text) if not names_something(dotted, ROOT)),
            ]
            if wrong:
                lost[name] = wrong
    assert lost == {}


def quoted(name: str) -> str:
    """As docs name a file."""
    return f"`{name}`"


def test_what_is_not_there_is_seen() -> None:
    assert missing_files(
        f"{quoted('pipeline/stage.py')} and {quoted('no_such_file.py')}", ["shared/pipeline/stage.py"]
    ) == ["no_such_file.py"]
    assert names_something("shared.pipeline.stage.Scope", ROOT)
    assert not names_something("shared.pipeline.stage.Nothing", ROOT) and not names_something("shared.nowhere", ROOT)
