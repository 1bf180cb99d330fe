"""What goes wrong while a dubbing engine's model is loaded says what it was."""

from __future__ import annotations

import pytest

from services.dubbing.engines.resident import loading
from shared.core.errors import EngineError


@pytest.mark.parametrize(
    ("said", "code"),
    [
        ("CUDA out of memory. Tried to allocate 2.00 GiB", "out_of_memory"),
        ("cuDNN error: CUDNN_STATUS_ALLOC_FAILED", "out_of_memory"),
        ("size mismatch for encoder.weight", "engine_load_failed"),
    ],
)
def test_memory_used_up_is_no_fault_of_the_files(said: str, code: str) -> None:
    with pytest.raises(EngineError) as caught, loading("xtts"):
        raise RuntimeError(said)
    assert caught.value.code == code
