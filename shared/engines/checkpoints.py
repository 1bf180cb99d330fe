"""Arrays out of PyTorch checkpoints, without PyTorch and without running anything that the file says.

A checkpoint is a pickle, and a pickle is a program. Here only the handful of instructions that describe arrays is
understood, each by code of ours; a file that asks for anything else is refused. Both containers are read: the zip of
PyTorch ≥ 1.6 and the older "legacy" row of pickles followed by raw storages.
"""

from __future__ import annotations

import io
import pickle
import zipfile
from collections import OrderedDict
from collections.abc import Callable, Mapping
from math import prod
from pathlib import Path
from typing import IO, Any

import numpy as np

from shared.core.errors import EngineError
from shared.observability.internal_errors import summary

LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
MAX_DEPTH = 8
"""Nesting of dicts and lists in a checkpoint; the deepest real one has three."""

STORAGES = {
    "FloatStorage": "<f4",
    "DoubleStorage": "<f8",
    "HalfStorage": "<f2",
    "LongStorage": "<i8",
    "IntStorage": "<i4",
    "ShortStorage": "<i2",
    "CharStorage": "|i1",
    "ByteStorage": "|u1",
    "BoolStorage": "|b1",
}
NUMPY_KINDS = {"f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "b1"}


def read_checkpoint(path: Path) -> dict[str, Any]:
    """The dict that ``torch.save`` wrote, every tensor or array in it as a numpy array.

    Raises:
        EngineError: ``bad_weights`` when the file is damaged or holds anything but plain values and arrays.
    """
    try:
        loaded = _read_zip(path) if zipfile.is_zipfile(path) else _read_legacy(path)
        tree = _resolve(loaded, 0)
    except (OSError, MemoryError):
        raise
    # A hostile or cut-off pickle can fail in almost any way while it is being read.
    except Exception as error:
        raise EngineError(
            f"The checkpoint {path.name} cannot be read: {summary(error)}. Fetch it again with “counterdub models "
            "pull”.",
            code="bad_weights",
        ) from error
    if not isinstance(tree, dict):
        raise EngineError(f"The checkpoint {path.name} holds no dict of arrays.", code="bad_weights")
    return tree


class _Reader(pickle.Unpickler):
    """Understands arrays and plain values only.

    Everything it hands to the pickle machine is a string, a bound method of its own or an empty container, so that
    there is nothing whose attributes the file could change for the rest of the process.
    """

    def __init__(self, data: IO[bytes], storage: Callable[[str, np.dtype[Any], int], np.ndarray]) -> None:
        super().__init__(data)
        self._storage = storage

    def find_class(self, module: str, name: str) -> Any:
        if module == "torch" and name in STORAGES:
            return STORAGES[name]
        allowed: dict[tuple[str, str], Any] = {
            ("collections", "OrderedDict"): self._mapping,
            ("torch._utils", "_rebuild_tensor_v2"): self._tensor,
            ("torch._utils", "_rebuild_parameter"): self._parameter,
            ("numpy", "ndarray"): "ndarray",
            ("numpy", "dtype"): self._dtype,
            ("numpy.core.multiarray", "_reconstruct"): self._array,
            ("numpy._core.multiarray", "_reconstruct"): self._array,
            ("_codecs", "encode"): self._encode,
        }
        if (module, name) not in allowed:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}, which no array needs")
        return allowed[module, name]

    def persistent_load(self, key: Any) -> np.ndarray:
        kind, dtype, name, _device, count = key[:5]
        if kind != "storage" or (len(key) > 5 and key[5] is not None):
            raise pickle.UnpicklingError("it refers to something that is not a plain storage")
        return self._storage(str(name), np.dtype(dtype), int(count))

    @staticmethod
    def _check(value: bool) -> None:
        if not value:
            raise pickle.UnpicklingError("an array in it is described inconsistently")

    def _mapping(self) -> OrderedDict[Any, Any]:
        return OrderedDict()

    def _tensor(self, storage: np.ndarray, offset: int, size: Any, stride: Any, *_flags: Any) -> np.ndarray:
        size, stride = [int(n) for n in size], [int(n) for n in stride]
        self._check(isinstance(storage, np.ndarray) and len(size) == len(stride))
        self._check(offset >= 0 and min(size + stride, default=0) >= 0)
        last = offset + sum((n - 1) * step for n, step in zip(size, stride, strict=True))
        self._check(prod(size) == 0 or last < storage.size)
        width = storage.itemsize
        return np.lib.stride_tricks.as_strided(storage[offset:], size, [step * width for step in stride])

    def _parameter(self, tensor: np.ndarray, *_flags: Any) -> np.ndarray:
        return tensor

    def _dtype(self, kind: str, *_flags: Any) -> _Dtype:
        self._check(kind in NUMPY_KINDS)
        return _Dtype(kind)

    def _array(self, *_arguments: Any) -> _Array:
        return _Array()

    def _encode(self, text: str, encoding: str) -> bytes:
        self._check(isinstance(text, str) and encoding == "latin1")
        return text.encode("latin1")


class _Dtype:
    """Stands in for ``numpy.dtype`` while a pickle is read."""

    def __init__(self, kind: str) -> None:
        self._value = np.dtype(kind)

    def __setstate__(self, state: Any) -> None:
        if state[1] not in ("<", ">", "|", "="):
            raise pickle.UnpicklingError("an array in it has an unknown byte order")
        self._value = self._value.newbyteorder(state[1])

    def value(self) -> np.dtype[Any]:
        return self._value


class _Array:
    """Stands in for ``numpy.ndarray`` while a pickle is read."""

    def __setstate__(self, state: Any) -> None:
        _version, shape, dtype, fortran, raw = state
        if not isinstance(dtype, _Dtype) or not isinstance(raw, bytes):
            raise pickle.UnpicklingError("an array in it does not hold numbers")
        flat = np.frombuffer(raw, dtype.value())
        self._value = flat.reshape(shape, order="F" if fortran else "C")

    def value(self) -> np.ndarray:
        return self._value


def _read_zip(path: Path) -> Any:
    with zipfile.ZipFile(path) as archive:
        members = {member.filename: member for member in archive.infolist()}
        # torch.save never compresses; so no member can be larger than the file.
        if any(member.compress_type != zipfile.ZIP_STORED for member in members.values()):
            raise pickle.UnpicklingError("a member of the archive is compressed")
        (program,) = (name for name in members if name.count("/") == 1 and name.endswith("/data.pkl"))
        folder = program.removesuffix("data.pkl")
        if f"{folder}byteorder" in members and archive.read(f"{folder}byteorder") != b"little":
            raise pickle.UnpicklingError("it was written on a big-endian machine")
        loaded: dict[str, np.ndarray] = {}

        def storage(name: str, dtype: np.dtype[Any], count: int) -> np.ndarray:
            if name not in loaded:
                loaded[name] = np.frombuffer(archive.read(f"{folder}data/{name}"), dtype)
            if loaded[name].dtype != dtype or loaded[name].size < count:
                raise pickle.UnpicklingError(f"storage {name} is too short")
            return loaded[name]

        return _Reader(io.BytesIO(archive.read(program)), storage).load()


def _read_legacy(path: Path) -> Any:
    room = path.stat().st_size
    storages: dict[str, np.ndarray] = {}

    def storage(name: str, dtype: np.dtype[Any], count: int) -> np.ndarray:
        nonlocal room
        if name not in storages:
            room -= count * dtype.itemsize
            if count < 0 or room < 0:
                raise pickle.UnpicklingError("its storages are larger than the file")
            storages[name] = np.empty(count, dtype)
        if storages[name].dtype != dtype or storages[name].size != count:
            raise pickle.UnpicklingError(f"storage {name} is described in two ways")
        return storages[name]

    def plain(file: IO[bytes]) -> Any:
        return _Reader(file, storage).load()

    with path.open("rb") as file:
        if plain(file) != LEGACY_MAGIC:
            raise pickle.UnpicklingError("it is not a PyTorch checkpoint")
        plain(file)  # protocol version
        system = plain(file)
        if not system.get("little_endian", True):
            raise pickle.UnpicklingError("it was written on a big-endian machine")
        tree = plain(file)
        # The numbers come last; the tensors made above are views that see them arrive.
        for name in plain(file):
            target = storages[name]
            if int.from_bytes(file.read(8), "little") != target.size:
                raise pickle.UnpicklingError(f"storage {name} has another length than announced")
            raw = file.read(target.nbytes)
            target[:] = np.frombuffer(raw, target.dtype, target.size)
    return tree


def _resolve(node: Any, depth: int) -> Any:
    """Replace stand-ins by arrays of their own memory and check that all else is plain."""
    if depth > MAX_DEPTH:
        raise pickle.UnpicklingError("it is nested too deeply")
    if isinstance(node, _Array):
        return np.array(node.value())
    if isinstance(node, np.ndarray):
        return np.array(node)
    if isinstance(node, Mapping):
        return {key: _resolve(value, depth + 1) for key, value in node.items()}
    if isinstance(node, list | tuple):
        return type(node)(_resolve(value, depth + 1) for value in node)
    if node is None or isinstance(node, bool | int | float | str | bytes):
        return node
    raise pickle.UnpicklingError(f"it holds a {type(node).__name__}")
