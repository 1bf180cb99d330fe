"""What engines on torch share: where and how precisely they compute, batches that fit, memory given back.

Torch is imported inside the functions: only processes that hold such an engine pay for it.
"""

from __future__ import annotations

import gc
import logging
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

from shared.core.errors import EngineError
from shared.engines.protocols import EngineOptions

log = logging.getLogger(__name__)

ItemT = TypeVar("ItemT")
ResultT = TypeVar("ResultT")

DTYPES = ("float32", "float16", "bfloat16")


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


def torch_dtype(options: EngineOptions) -> Any:
    """``extra["dtype"]``, else float16 on a graphics card and float32 on the CPU.

    Raises:
        EngineError: ``bad_dtype``.
    """
    import torch

    name = str(options.extra.get("dtype") or ("float16" if options.device.startswith("cuda") else "float32"))
    if name not in DTYPES:
        raise EngineError(f"dtype must be one of {', '.join(DTYPES)}, not “{name}”.", code="bad_dtype")
    return getattr(torch, name)


def in_batches(
    items: Sequence[ItemT],
    run: Callable[[list[ItemT]], Sequence[ResultT]],
    size: int,
    length: Callable[[ItemT], float],
) -> list[ResultT]:
    """``run`` over batches of items of like length, results in the order of ``items``.

    A batch that does not fit into the card's memory is halved, down to one; the smaller size is kept for the rest.

    Raises:
        EngineError: ``out_of_memory`` (retryable) when not even one item fits.
    """
    order = sorted(range(len(items)), key=lambda index: -length(items[index]))
    results: dict[int, ResultT] = {}
    while order:
        chosen = order[:size]
        try:
            batch_results = run([items[index] for index in chosen])
        except Exception as error:
            if not out_of_memory(error):
                raise
            release()
            if len(chosen) == 1:
                raise too_large() from error
            size = max(1, len(chosen) // 2)
            log.warning("out of memory with %d at a time: going on with %d", len(chosen), size)
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


def out_of_memory(error: BaseException) -> bool:
    """Whether a library says that the card's memory is used up."""
    return type(error).__name__ == "OutOfMemoryError" or (
        isinstance(error, RuntimeError) and "out of memory" in str(error).lower()
    )


def release() -> None:
    """Give memory back: what nobody holds any more, and what torch keeps of the card's where it is there."""
    gc.collect()
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        torch.cuda.empty_cache()
