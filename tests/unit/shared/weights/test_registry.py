"""The registry file and the names made from it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from shared.core.errors import UsageError
from shared.weights import WeightFolder, catalog, names
from shared.weights.registry import Deflated, Member, parse

ENTRY = """
[models.a]
title = "A"
stage = "s"
kind = "k"
version = "1"
upstream = "someone/a"
licence = {{ name = "MIT" }}
profiles = []
files = [ {{ path = "{path}", size = 1, sha256 = "00", {source} }} ]
"""


def test_every_file_has_a_hash_a_size_and_a_source() -> None:
    for entry in catalog().values():
        assert entry.files and entry.licence.name and entry.upstream
        assert len({file.path for file in entry.files}) == len(entry.files)
        for file in entry.files:
            assert re.fullmatch("[0-9a-f]{64}", file.sha256)
            assert file.size > 0
            assert file.pip or file.npm or file.hub


def test_a_member_of_a_package_always_has_the_same_hash() -> None:
    members: dict[tuple[Member, Deflated | None], str] = {}
    for entry in catalog().values():
        for file in entry.files:
            for member in (*file.pip, *file.npm):
                assert members.setdefault((member, file.deflated), file.sha256) == file.sha256


def test_the_cpu_profile_lists_what_it_loads() -> None:
    assert set(names("cpu")) == {
        "whisper-base-ct2",
        "kokoro-82m-int8",
        "kokoro-voices",
        "qwen2.5-coder-1.5b-instruct-q4",
        "opus-mt-en-fr",
        "firefox-en-pt",
        "firefox-pt-en",
        "spleeter-2stems",
        "resemblyzer",
        "silero-vad",
        "transnetv2",
    }
    assert len(catalog()["kokoro-voices"].files) == 54


@pytest.mark.parametrize("path", ["../a", "/a", "a/../../b", "C:/a", "a\\b", ""])
def test_paths_that_leave_the_folder_are_refused(path: str) -> None:
    with pytest.raises(ValueError, match="leaves its folder"):
        parse(ENTRY.format(path=path.replace("\\", "\\\\"), source='pip = "a==1:b"'))


@pytest.mark.parametrize("source", ['pip = "a==1"', 'hub = "a.bin"'])
def test_malformed_sources_are_refused(source: str) -> None:
    with pytest.raises(ValueError):
        parse(ENTRY.format(path="a.bin", source=source))


def test_digest_follows_the_hashes_and_needs_no_files(tmp_path: Path) -> None:
    one = parse(ENTRY.format(path="a.bin", source='pip = "a==1:b"'))["a"]
    other = parse(ENTRY.format(path="a.bin", source='npm = "a@1:b"').replace('"00"', '"01"'))["a"]
    moved = parse(ENTRY.format(path="a.bin", source='npm = "a@1:b"'))["a"]
    assert one.digest == moved.digest != other.digest
    assert WeightFolder(tmp_path / "nowhere").digest("silero-vad") == catalog()["silero-vad"].digest


def test_unknown_names_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="silero-vad") as caught:
        WeightFolder(tmp_path).digest("nothing")
    assert caught.value.code == "unknown_model"
