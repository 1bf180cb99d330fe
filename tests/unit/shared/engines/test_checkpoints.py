"""Checkpoints are read without PyTorch, and nothing that a hostile one asks for is done."""

from __future__ import annotations

import os
import pickle
import zipfile
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from shared.core.errors import EngineError
from shared.engines.checkpoints import read_checkpoint


def save(path: Path, program: bytes, storages: dict[str, bytes] | None = None, compression: int = 0) -> Path:
    with zipfile.ZipFile(path, "w", compression) as archive:
        archive.writestr("archive/data.pkl", program)
        for name, raw in (storages or {}).items():
            archive.writestr(f"archive/data/{name}", raw)
    return path


class Asks:
    """Pickles as a call of ``function``."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.call = (function, arguments)

    def __reduce__(self) -> Any:
        return self.call


def tensor_program(size: tuple[int, ...], stride: tuple[int, ...], offset: int = 0, count: int = 6) -> bytes:
    """What torch.save writes for ``{"x": tensor}``, by hand."""

    def text(value: str) -> bytes:
        raw = value.encode()
        return b"X" + len(raw).to_bytes(4, "little") + raw

    def ints(values: tuple[int, ...]) -> bytes:
        return b"(" + b"".join(b"J" + value.to_bytes(4, "little", signed=True) for value in values) + b"t"

    storage = b"(" + text("storage") + b"ctorch\nFloatStorage\n" + text("0") + text("cpu") + b"J"
    storage += count.to_bytes(4, "little") + b"tQ"
    arguments = b"(" + storage + b"J" + offset.to_bytes(4, "little", signed=True) + ints(size) + ints(stride)
    arguments += b"\x89ccollections\nOrderedDict\n)Rt"
    return b"\x80\x02}" + text("x") + b"ctorch._utils\n_rebuild_tensor_v2\n" + arguments + b"Rs."


SIX = np.arange(6, dtype="<f4")


def test_a_tensor_keeps_its_shape_and_stride(tmp_path: Path) -> None:
    path = save(tmp_path / "a.pt", tensor_program((3, 2), (1, 3)), {"0": SIX.tobytes()})
    assert np.array_equal(read_checkpoint(path)["x"], SIX.reshape(2, 3).T)


def test_numpy_arrays_and_nested_plain_values(tmp_path: Path) -> None:
    values: dict[str, Any] = {
        "a": np.arange(4.0).reshape(2, 2),
        "b": OrderedDict(c=np.array([1, 2], np.float32).astype(">f4")),
        "n": [1, "x", None],
    }
    found = read_checkpoint(save(tmp_path / "a.pt", pickle.dumps(values, protocol=2)))
    assert np.array_equal(found["a"], values["a"])
    assert np.array_equal(found["b"]["c"], [1, 2])
    assert found["n"] == [1, "x", None]


@pytest.mark.parametrize(
    "size, stride, offset",
    [((7,), (1,), 0), ((6,), (1,), 1), ((2,), (-1,), 3), ((-2,), (1,), 0), ((2,), (9,), 0), ((2,), (1,), -1)],
)
def test_a_tensor_outside_its_storage_is_refused(
    tmp_path: Path, size: tuple[int, ...], stride: tuple[int, ...], offset: int
) -> None:
    path = save(tmp_path / "a.pt", tensor_program(size, stride, offset), {"0": SIX.tobytes()})
    with pytest.raises(EngineError) as error:
        read_checkpoint(path)
    assert error.value.code == "bad_weights"


@pytest.mark.parametrize(
    "function, arguments",
    [
        (os.system, ("touch marker",)),
        (eval, ("__import__('pathlib').Path('marker').touch()",)),
        (getattr, (Path("marker"), "touch")),
        (np.load, ("marker",)),
        (np.array, ([1],)),
    ],
)
def test_a_checkpoint_that_asks_for_code_is_refused_and_nothing_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, function: Any, arguments: tuple[Any, ...]
) -> None:
    monkeypatch.chdir(tmp_path)
    path = save(tmp_path / "bad.pt", pickle.dumps({"x": Asks(function, *arguments)}, protocol=2))
    with pytest.raises(EngineError) as error:
        read_checkpoint(path)
    assert error.value.code == "bad_weights"
    assert not (tmp_path / "marker").exists()


def test_arrays_of_objects_are_refused(tmp_path: Path) -> None:
    path = save(tmp_path / "bad.pt", pickle.dumps({"x": np.array([None, {}], dtype=object)}, protocol=2))
    with pytest.raises(EngineError):
        read_checkpoint(path)


def test_a_legacy_file_that_asks_for_code_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "bad.pt"
    path.write_bytes(pickle.dumps(Asks(os.system, f"touch {tmp_path}/marker"), protocol=2))
    with pytest.raises(EngineError):
        read_checkpoint(path)
    assert not (tmp_path / "marker").exists()


@pytest.mark.parametrize("content", [b"", b"not a checkpoint", b"\x80\x02", b"PK\x03\x04broken"])
def test_rubbish_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "bad.pt"
    path.write_bytes(content)
    with pytest.raises(EngineError) as error:
        read_checkpoint(path)
    assert error.value.code == "bad_weights"


def test_a_compressed_archive_is_refused(tmp_path: Path) -> None:
    path = save(tmp_path / "bomb.pt", pickle.dumps({"x": b"0" * 10_000}, protocol=2), compression=zipfile.ZIP_DEFLATED)
    with pytest.raises(EngineError):
        read_checkpoint(path)


def test_a_dict_that_contains_itself_is_refused(tmp_path: Path) -> None:
    loop: dict[str, Any] = {}
    loop["x"] = loop
    with pytest.raises(EngineError):
        read_checkpoint(save(tmp_path / "bad.pt", pickle.dumps(loop, protocol=2)))


@pytest.mark.parametrize("cut", [0.2, 0.9, 0.9999])
def test_a_truncated_real_checkpoint_is_refused(tmp_path: Path, weights: Any, cut: float) -> None:
    whole = (weights.path("resemblyzer") / "pretrained.pt").read_bytes()
    path = tmp_path / "cut.pt"
    path.write_bytes(whole[: int(len(whole) * cut)])
    with pytest.raises(EngineError):
        read_checkpoint(path)
