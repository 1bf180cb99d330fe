"""Batches of like length, halved when the memory does not suffice."""

from __future__ import annotations

import pytest

from shared.core.errors import EngineError
from shared.engines import accelerator
from shared.engines.protocols import EngineOptions


def test_results_come_in_the_order_of_the_items() -> None:
    seen: list[list[str]] = []

    def run(batch: list[str]) -> list[str]:
        seen.append(batch)
        return [item.upper() for item in batch]

    assert accelerator.in_batches(["a", "bbb", "cc", "dddd"], run, accelerator.BatchSize(2), len) == [
        "A",
        "BBB",
        "CC",
        "DDDD",
    ]
    assert seen == [["dddd", "bbb"], ["cc", "a"]]


def test_a_batch_that_does_not_fit_is_halved_and_the_rest_stays_small() -> None:
    sizes: list[int] = []
    batch = accelerator.BatchSize(8)

    def run(batch: list[int]) -> list[int]:
        sizes.append(len(batch))
        if len(batch) > 2:
            raise RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return batch

    assert accelerator.in_batches(list(range(9)), run, batch, float) == list(range(9))
    assert sizes == [8, 4, 2, 2, 2, 2, 1]
    sizes.clear()
    assert accelerator.in_batches(list(range(4)), run, batch, float) == list(range(4))
    assert sizes == [2, 2], "the next call does not try again what did not fit"


def test_one_that_does_not_fit_alone_is_a_clear_error() -> None:
    def run(batch: list[int]) -> list[int]:
        raise RuntimeError("CUDA out of memory")

    with pytest.raises(EngineError) as caught:
        accelerator.in_batches([1, 2], run, accelerator.BatchSize(2), float)
    assert (caught.value.code, caught.value.retryable) == ("out_of_memory", True)


def test_what_cannot_be_halved_says_the_same() -> None:
    with pytest.raises(EngineError) as caught, accelerator.within_memory():
        raise RuntimeError("CUDA failed with error out of memory")
    assert (caught.value.code, caught.value.retryable) == ("out_of_memory", True)
    with pytest.raises(ValueError, match="bad text"), accelerator.within_memory():
        raise ValueError("bad text")


@pytest.mark.parametrize(
    "said",
    [
        "CUDA out of memory. Tried to allocate 2.00 GiB",
        "CUDA failed with error out of memory",
        "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`",
        "cuBLAS failed with status CUBLAS_STATUS_ALLOC_FAILED",
        "cuDNN error: CUDNN_STATUS_ALLOC_FAILED",
        "cuDNN failed with status CUDNN_STATUS_ALLOC_FAILED",
        "CUDA driver error: CUDA_ERROR_OUT_OF_MEMORY",
        "cudaErrorMemoryAllocation",
    ],
)
def test_all_ways_to_say_that_the_memory_is_used_up(said: str) -> None:
    with pytest.raises(EngineError) as caught, accelerator.within_memory():
        raise RuntimeError(said)
    assert (caught.value.code, caught.value.retryable) == ("out_of_memory", True)
    assert not accelerator.out_of_memory(RuntimeError("CUBLAS_STATUS_EXECUTION_FAILED"))
    assert not accelerator.out_of_memory(ValueError(said)), "a text that is spoken about memory is not an error of it"


def test_other_errors_are_not_swallowed() -> None:
    def run(batch: list[int]) -> list[int]:
        raise ValueError("bad text")

    with pytest.raises(ValueError, match="bad text"):
        accelerator.in_batches([1], run, accelerator.BatchSize(2), float)


def test_what_a_card_computes_in_where_nothing_is_set() -> None:
    """T5 leaves the range of float16: MADLAD answered with nothing."""
    torch = pytest.importorskip("torch")
    from services.translation.engines.families import M2M100Translator, MadladTranslator

    card = EngineOptions(device="cuda")
    assert accelerator.torch_dtype(card, M2M100Translator.half) == torch.float16
    assert accelerator.torch_dtype(card, MadladTranslator.half) == torch.bfloat16
    assert accelerator.torch_dtype(EngineOptions(), MadladTranslator.half) == torch.float32


def test_an_unknown_dtype_is_refused() -> None:
    pytest.importorskip("torch")
    with pytest.raises(EngineError) as caught:
        accelerator.torch_dtype(EngineOptions(extra={"dtype": "int3"}))
    assert caught.value.code == "bad_dtype"
