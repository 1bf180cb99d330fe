"""Several lines through a synthesiser at once.

An engine that can do so has ``synthesize_batch(requests) -> list[Audio]`` and ``together``, the number of lines it
takes best in one call. What it returns for a line must not depend on the other lines of the batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from shared.core.errors import EngineError
from shared.core.text import alphanumerics
from shared.engines.protocols import Audio, SpeechRequest

FAULTS = (RuntimeError, ValueError, IndexError, ArithmeticError)
"""What a model throws at a line that it cannot speak: that line fails, and no other."""


class SynthesisAhead:
    """Speech of lines that will be needed, made in batches when the first of them is asked for.

    Args:
        synthesizer: Any engine; one that cannot batch is never asked.
        requests: First takes of all lines, in the order in which they will be asked for.
    """

    def __init__(self, synthesizer: Any, requests: Sequence[SpeechRequest]) -> None:
        self._synthesizer = synthesizer
        can = hasattr(synthesizer, "synthesize_batch")
        self._waiting = [one for one in dict.fromkeys(requests) if alphanumerics(one.text)] if can else []
        self._made: dict[SpeechRequest, Audio] = {}

    def take(self, request: SpeechRequest) -> Audio | None:
        """Speech of a request that was announced, once; None for any other, and where the batch failed.

        A request with a reference is never announced: requests compare without it.
        """
        if request.reference is not None:
            return None
        if request in self._made:
            return self._made.pop(request)
        if request not in self._waiting:
            return None
        # Lines before this one were found in the store and are not needed any more.
        first = self._waiting.index(request)
        # Four batches at a time: enough to put lines of like length together, little to keep in memory.
        several = 4 * max(1, int(self._synthesizer.together))
        chosen, self._waiting = self._waiting[first : first + several], self._waiting[first + several :]
        if len(chosen) < 2:
            return None
        try:
            self._made = dict(zip(chosen, self._synthesizer.synthesize_batch(chosen), strict=True))
        except EngineError as error:
            if error.code in {"engine_missing", "weights_missing", "out_of_memory"}:
                raise
            # One line that cannot be spoken must not cost the others: each is tried by itself.
            return None
        except FAULTS:
            return None
        return self._made.pop(request)
