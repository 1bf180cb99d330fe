"""What users name, and the folder names made of it."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.core.errors import InputError, UsageError
from shared.pipeline.title_names import MAX_NAME_BYTES, find_videos, safe_name, unique_name


@given(st.text())
def test_names_are_always_one_safe_path_part(stem: str) -> None:
    name = safe_name(stem)
    assert name and name not in {".", ".."} and "/" not in name and "\\" not in name and "\0" not in name
    assert not name.startswith(("-", ".")) and len(name.encode()) <= MAX_NAME_BYTES


@pytest.mark.parametrize(
    ("stem", "name"),
    [
        ("clip", "clip"),
        ("../../etc/passwd", "etc-passwd"),
        ("$(reboot); rm -rf *", "reboot-rm--rf"),
        ("映画 第1話", "映画-第1話"),
        ("Café", "Café"),
        ("", "title"),
        ("-rf", "rf"),
    ],
)
def test_names_keep_letters_of_any_script_and_drop_tricks(stem: str, name: str) -> None:
    assert safe_name(stem) == name


def test_the_same_name_twice_gets_a_number() -> None:
    assert unique_name("clip", []) == "clip"
    assert unique_name("clip", ["clip"]) == "clip-2"
    assert unique_name("Clip", ["clip", "clip-2"]) == "Clip-3"


def test_folders_files_and_globs_are_found_once_each(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    for name in ("a.mp4", "b.MKV", "deep/c.mov", "notes.txt"):
        (tmp_path / name).write_bytes(b"x")
    found = find_videos([str(tmp_path), str(tmp_path / "*.mp4"), str(tmp_path / "a.mp4")])
    assert [path.name for path in found] == ["a.mp4", "b.MKV", "c.mov"]
    assert find_videos([str(tmp_path / "notes.txt")])[0].name == "notes.txt", "a file named directly is always taken"


def test_nothing_found_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="names no video"):
        find_videos([str(tmp_path / "*.mp4")])


def test_a_folder_without_permission_is_a_clear_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: Path) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(Path, "iterdir", refuse)  # a closed folder does not stop root
    with pytest.raises(InputError, match="cannot be read: Permission denied"):
        find_videos([str(tmp_path)])
