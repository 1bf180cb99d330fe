"""OPUS-MT on a graphics card: where CTranslate2 is told to compute, and what it needs there."""

from __future__ import annotations

from typing import Any

import pytest

from services.translation.engines import opus
from services.translation.engines.opus import OpusTranslator
from shared.core.errors import EngineError
from shared.engines.protocols import EngineOptions
from shared.weights import WeightFolder


@pytest.mark.parametrize(
    ("device", "told", "index", "cublas"), [("cpu", "cpu", 0, 0), ("cuda", "cuda", 0, 1), ("cuda:1", "cuda", 1, 1)]
)
def test_where_it_computes(
    weights: Any, monkeypatch: pytest.MonkeyPatch, device: str, told: str, index: int, cublas: int
) -> None:
    """CTranslate2 asks for CUDA 12's cuBLAS by name alone, and takes the number of a card apart."""
    weights.path("opus-mt-en-fr")
    found: list[int] = []
    monkeypatch.setattr(opus, "convert", lambda folder, out: None)
    monkeypatch.setattr(opus, "find_cublas", lambda: found.append(1))
    engine = OpusTranslator(EngineOptions(device=device), WeightFolder())
    given: dict[str, Any] = {}

    class Runtime:
        @staticmethod
        def Translator(folder: str, **options: Any) -> Any:
            given.update(options)
            return object()

    monkeypatch.setattr(engine, "_runtime", Runtime)
    engine._loaded()
    assert (given["device"], given["device_index"], len(found)) == (told, index, cublas)


def test_memory_used_up_is_told_as_that(weights: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    weights.path("opus-mt-en-fr")
    engine = OpusTranslator(EngineOptions(device="cuda"), WeightFolder())

    class Full:
        def translate_batch(self, *given: Any, **options: Any) -> Any:
            raise RuntimeError("cuBLAS failed with status CUBLAS_STATUS_ALLOC_FAILED")

    monkeypatch.setattr(engine, "_loaded", Full)
    with pytest.raises(EngineError) as caught:
        engine._sentences(["Hello."], 1)
    assert (caught.value.code, caught.value.retryable) == ("out_of_memory", True)
