"""A reader finds the way in the tree: one class of a name, folders of at most 16 files. Part of ``make lint``.

What broke the rules when they were set is listed; the lists may only get shorter.
"""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path

from tests.conftest import ROOT

PACKAGES = ("services", "shared", "trainer")
LARGEST = 16
"""Source files of a folder, ``__init__.py`` aside."""

CROWDED = {"services/dubbing/engines": 19, "trainer/reproduce": 17}


def sources() -> list[Path]:
    return sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))


def classes_by_name(files: Mapping[str, str]) -> dict[str, list[str]]:
    """Name of a class of a module → the files that define it."""
    defined: dict[str, list[str]] = defaultdict(list)
    for file, text in files.items():
        for node in ast.parse(text).body:
            if isinstance(node, ast.ClassDef):
                defined[node.name].append(file)
    return defined


def sizes(paths: Iterable[Path]) -> dict[str, int]:
    """Folder → how many source files are in it."""
    counted: dict[str, int] = defaultdict(int)
    for path in paths:
        if path.name != "__init__.py":
            counted[path.parent.relative_to(ROOT).as_posix()] += 1
    return counted


def test_no_two_classes_have_one_name() -> None:
    defined = classes_by_name({str(path.relative_to(ROOT)): path.read_text(encoding="utf-8") for path in sources()})
    assert {name: files for name, files in defined.items() if len(files) > 1} == {}


def test_no_folder_is_crowded() -> None:
    crowded = {folder: count for folder, count in sizes(sources()).items() if count > LARGEST}
    assert {folder: count for folder, count in crowded.items() if count > CROWDED.get(folder, LARGEST)} == {}


def test_a_second_class_of_a_name_is_seen() -> None:
    defined = classes_by_name(
        {"a.py": "class One: ...\nclass Other: ...\n", "b.py": "if True:\n    class Two: ...\nclass One: ...\n"}
    )
    assert {name: files for name, files in defined.items() if len(files) > 1} == {"One": ["a.py", "b.py"]}


def test_what_is_in_a_folder_is_counted() -> None:
    names = ("shared/a.py", "shared/__init__.py", "shared/b/c.py", "shared/b/d.py")
    assert sizes(ROOT / name for name in names) == {"shared": 1, "shared/b": 2}


VAGUE = ("run", "read", "check")
STAGES_RUN = "run"
"""The contract's name for what a stage does; its modules may all have it."""


def test_vague_names_of_functions_are_rare() -> None:
    defined: dict[str, list[str]] = defaultdict(list)
    for path in sources():
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.FunctionDef) and node.name in VAGUE:
                stage = node.name == STAGES_RUN and [arg.arg for arg in node.args.args][:2] == ["scope", "inputs"]
                if not stage:
                    defined[node.name].append(path.relative_to(ROOT).as_posix())
    assert {name: files for name, files in defined.items() if len(files) > 3} == {}
