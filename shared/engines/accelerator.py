"""What engines on torch share: where and how precisely they compute, batches that fit, memory given back.

Torch is imported inside the functions: only processes that hold such an engine pay for it.
"""

from __future__ import annotations

import ctypes
import gc
import logging
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, distribution
from typing import Any, TypeVar

from shared.core.errors import EngineError
from shared.engines.protocols import EngineOptions

log = logging.getLogger(__name__)

ItemT = TypeVar("ItemT")
ResultT = TypeVar("ResultT")

DTYPES = ("float32", "float16", "bfloat16")


CUBLAS = ("nvidia-cublas-cu12",)
"""What CTranslate2 loads on a card: CUDA 12's cuBLAS, where torch brings that of CUDA 13."""


def find_cublas() -> None:
    """Load CUDA 12's cuBLAS, which CTranslate2 asks for by name alone, from its package where that is installed."""
    try:
        files = distribution(*CUBLAS).files or []
    except PackageNotFoundError:
        return  # the system's own, then
    # The other asks for this one.
    for name in ("libcublasLt.so.12", "libcublas.so.12"):
        for file in files:
            if file.name == name:
                ctypes.CDLL(str(file.locate()), mode=ctypes.RTLD_GLOBAL)


def torch_device(options: EngineOptions) -> Any:
    """The torch device that the settings name (``cpu``, ``cuda``, ``cuda:1``).

    Raises:
        EngineError: ``no_device`` when there is none such.
    """
    import torch

    device = torch.device(options.device)
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise EngineError(
            f"There is no graphics card for the device “{options.device}”. Use device=cpu, or a machine that has one.",
            code="no_device",
        )
    return device


def torch_dtype(options: EngineOptions, half: str = "float16") -> Any:
    """``extra["dtype"]``, else ``half`` on a graphics card and float32 on the CPU.

    Raises:
        EngineError: ``bad_dtype``.
    """
    import torch

    name = str(options.extra.get("dtype") or (half if options.device.startswith("cuda") else "float32"))
    if name not in DTYPES:
        raise EngineError(f"dtype must be one of {', '.join(DTYPES)}, not “{name}”.", code="bad_dtype")
    return getattr(torch, name)


class BatchSize:
    """Items that an engine takes at a time. What did not fit once is not tried again while the engine is loaded."""

    def __init__(self, size: int) -> None:
        self.size = max(1, size)

    def lower(self, size: int) -> None:
        self.size = max(1, min(self.size, size))


def in_batches(
    items: Sequence[ItemT],
    run: Callable[[list[ItemT]], Sequence[ResultT]],
    batch: BatchSize,
    length: Callable[[ItemT], float],
) -> list[ResultT]:
    """``run`` over batches of items of like length, results in the order of ``items``.

    A batch that does not fit into the card's memory is halved, down to one; ``batch`` keeps the smaller size.

    Raises:
        EngineError: ``out_of_memory`` (retryable) when not even one item fits.
    """
    order = sorted(range(len(items)), key=lambda index: -length(items[index]))
    results: dict[int, ResultT] = {}
    while order:
        chosen = order[: batch.size]
        try:
            batch_results = run([items[index] for index in chosen])
        except Exception as error:
            if not out_of_memory(error):
                raise
            release()
            if len(chosen) == 1:
                raise too_large() from error
            batch.lower(len(chosen) // 2)
            log.warning("out of memory with %d at a time: going on with %d", len(chosen), batch.size)
            continue
        results.update(zip(chosen, batch_results, strict=True))
        order = order[len(chosen) :]
    return [results[index] for index in range(len(items))]


@contextmanager
def drawing(device: Any, dtype: Any, seed: int) -> Iterator[None]:
    """Around a model that draws what it makes: inference in ``dtype``, random numbers of ``seed`` and nobody else's."""
    import torch

    cards = [device] if device.type == "cuda" else []
    with (
        torch.inference_mode(),
        torch.random.fork_rng(devices=cards),
        torch.autocast(device.type, dtype, enabled=dtype != torch.float32),
    ):
        torch.manual_seed(seed)
        yield


@contextmanager
def within_memory() -> Iterator[None]:
    """Around work that cannot be done in smaller parts.

    Raises:
        EngineError: ``out_of_memory`` (retryable) for whatever a library says when the card's memory is used up.
    """
    try:
        yield
    except Exception as error:
        if not out_of_memory(error):
            raise
        release()
        raise too_large() from error


def too_large() -> EngineError:
    return EngineError("The graphics card has too little memory for this engine.", code="out_of_memory", retryable=True)


USED_UP = ("out of memory", "alloc_failed", "memory_allocation", "memoryallocation", "out_of_memory")
"""In what CUDA and its libraries say, torch and CTranslate2 pass on: CUBLAS_STATUS_ALLOC_FAILED, and of cuDNN too,
cudaErrorMemoryAllocation, CUDA_ERROR_OUT_OF_MEMORY."""


def out_of_memory(error: BaseException) -> bool:
    """Whether a library says that the card's memory is used up."""
    said = str(error).lower()
    return type(error).__name__ == "OutOfMemoryError" or (
        isinstance(error, RuntimeError) and any(words in said for words in USED_UP)
    )


def release() -> None:
    """Give memory back: what nobody holds any more, and what torch keeps of the card's where it is there."""
    gc.collect()
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        torch.cuda.empty_cache()
