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

SEVERAL = {
    "services/separation/test_separators",
    "services/transcription/test_listening",
    "services/translation/test_engines",
    "shared/audio/test_timbre_and_room",
    "shared/media/test_subtitle_round_trip",
    "shared/pipeline/test_edits",
    "shared/weights/test_split_archive",
    "trainer/data/test_decoding",
    "trainer/embedding/test_encoder",
    "trainer/evaluation/test_adapters",
    "trainer/evaluation/test_hear_api",
    "trainer/objective/test_gradcache_model",
    "trainer/objective/test_several_processes",
    "trainer/parity/test_cases",
    "trainer/parity/test_folder",
    "trainer/parity/test_mistakes",
    "trainer/recipes/test_paper",
    "trainer/reproduce/test_reproduce",
    "trainer/service/test_parts",
    "trainer/service/test_rules",
    "trainer/shards/test_command",
    "trainer/towers/test_attention",
    "trainer/towers/test_build",
    "trainer/training/test_command",
    "trainer/training/test_curves",
    "trainer/training/test_faults",
    "trainer/training/test_learning",
}
"""Unit tests of several modules of their folder at once."""


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
    assert {folder: count for folder, count in sizes(sources()).items() if count > LARGEST} == {}


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


def test_unit_tests_stand_where_their_source_stands() -> None:
    unit = ROOT / "tests" / "unit"
    tests = {path.relative_to(unit).with_suffix("").as_posix(): path for path in unit.rglob("test_*.py")}
    strays = {name for name in tests if not (ROOT / f"/{name}".replace("/test_", "/")[1:]).with_suffix(".py").exists()}
    assert strays == SEVERAL
    homeless = {name for name, path in tests.items() if not (ROOT / path.parent.relative_to(unit)).is_dir()}
    assert homeless == set()
