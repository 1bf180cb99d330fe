"""Using weights that are, or are not, on this machine."""

import os
from pathlib import Path

import pytest

from shared.core.errors import EngineError
from shared.engines.protocols import WeightFiles
from shared.weights import WeightFolder, default_folder, verify
from tests.unit.shared.weights import carriers


@pytest.fixture
def folder(tmp_path: Path) -> WeightFolder:
    entries = carriers.tiny()
    folder = WeightFolder(tmp_path, entries)
    for file, content in zip(entries["tiny"].files, (carriers.WHOLE, carriers.NOTE), strict=True):
        folder.place(entries["tiny"], file, [content])
    return folder


def test_it_is_what_engines_expect(folder: WeightFolder) -> None:
    assert isinstance(folder, WeightFiles)


def test_missing_weights_say_how_to_get_them(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="`counterdub models pull tiny`") as caught:
        WeightFolder(tmp_path, carriers.tiny()).path("tiny")
    assert caught.value.code == "weights_missing"
    assert str(tmp_path) not in caught.value.message
    assert verify(["tiny"], tmp_path, carriers.tiny()) == {"tiny": "missing"}
    assert verify(None, tmp_path, carriers.tiny()) == {}


def test_copied_files_are_hashed_once(folder: WeightFolder) -> None:
    entry = folder.entries["tiny"]
    assert not folder.stamped(entry)
    assert folder.path("tiny") == folder.root / "tiny"
    assert folder.stamped(entry)


@pytest.mark.parametrize("content", [carriers.WHOLE[:-1], b"X" + carriers.WHOLE[1:]])
def test_changed_files_are_noticed(folder: WeightFolder, content: bytes) -> None:
    folder.path("tiny")
    model = folder.root / "tiny/model.bin"
    model.write_bytes(content)
    later = model.stat().st_mtime + 5
    os.utime(model, (later, later))
    with pytest.raises(EngineError, match="damaged") as caught:
        WeightFolder(folder.root, folder.entries).path("tiny")
    assert caught.value.code == "weights_damaged"
    assert folder.check(folder.entries["tiny"]).files == ("model.bin",)
    assert verify(None, folder.root, folder.entries) == {"tiny": "damaged"}


def test_a_folder_that_cannot_be_written_can_be_used(folder: WeightFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object, **kwargs: object) -> None:
        raise PermissionError

    monkeypatch.setattr(Path, "write_text", refuse)
    assert folder.path("tiny") == folder.root / "tiny"


def test_the_folder_can_be_chosen(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("COUNTERDUB_MODELS", str(tmp_path))
    assert default_folder() == tmp_path
    monkeypatch.delenv("COUNTERDUB_MODELS")
    assert default_folder().parts[-2:] == ("counterdub", "models")
