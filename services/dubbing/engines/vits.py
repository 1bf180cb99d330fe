"""What engines of the VITS family share: texts in batches, and noise that does not depend on the batch."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import Any, ClassVar, Protocol

import numpy as np

from services.dubbing.engines.long_text import join, pieces
from services.dubbing.engines.resident import Resident, needing, use_threads
from shared.audio.signal import resample
from shared.core.errors import EngineError, UsageError
from shared.engines.accelerator import BatchSize, in_batches, torch_device, torch_dtype
from shared.engines.protocols import Audio, EngineOptions, Licence, SpeechRequest, Voice, WeightFiles

BATCH = 16
"""Texts at once on a graphics card; ``extra["batch_size"]``. A processor takes one: a batch no longer fits its caches
and costs up to twice as much, padding not counted (tests/benchmarks/test_engines_dubbing.py)."""
LONGEST = 600
"""Tokens in one pass; longer texts are spoken in parts, because attention grows with the square."""


class Network(Protocol):
    """One loaded model of one language (or several)."""

    sample_rate: int

    def tokens(self, text: str, language: str) -> list[int]:
        """Token ids; empty when nothing of the text can be spoken."""
        ...

    def run(self, batch: Sequence[Sequence[int]], parts: Sequence[SpeechRequest]) -> list[Audio]:
        """Speech of every row, cut to its length; noise is drawn by the caller's :func:`noise_by_row`."""
        ...


class VitsSynthesizer:
    """See :class:`shared.engines.protocols.Synthesizer`. Subclasses find and open the model of a language.

    Lines of one model go through it together, ordered by length. Noise is drawn for each line by its own seed, so a
    line sounds the same alone and in any batch, but for the last digits of sums and the fading out of its last tenth of
    a second, where the sound decoder of a padded row hears silence and that of a single row nothing.
    """

    name: ClassVar[str]
    licence: ClassVar[Licence]
    native_speed: ClassVar[tuple[float, float]] = (0.75, 1.35)
    memory_mb: ClassVar[int] = 1500
    """Card memory that a batch of 16 lines takes with a model of the published size (36 M parameters), rounded up."""
    sample_rate: int

    def __init__(self, options: EngineOptions, weights: WeightFiles) -> None:
        with needing("synthesizer", self.name):
            import torch
        self._torch = torch
        self._options, self._weights = options, weights
        self._device, self._dtype = torch_device(options), torch_dtype(options)
        self._batch = BatchSize(int(options.extra.get("batch_size") or (1 if self._device.type == "cpu" else BATCH)))
        self._networks: dict[str, Resident[Network]] = {}
        self._lock = threading.RLock()

    @property
    def together(self) -> int:
        """Lines best given in one call."""
        return self._batch.size

    def release(self) -> None:
        """Give back the memory of all models; they are loaded again when needed."""
        for network in self._networks.values():
            network.release()

    # What subclasses say.

    def voices(self, language: str) -> list[Voice]:
        raise NotImplementedError

    def model_of(self, language: str) -> str | None:
        """Key of the model that speaks a language; None when there is none."""
        raise NotImplementedError

    def open(self, key: str) -> Network:
        raise NotImplementedError

    # What they share.

    def network(self, language: str) -> Network:
        """The network of a language, loaded on first use.

        Raises:
            UsageError: ``no_voice``.
        """
        key = self.model_of(language)
        if key is None:
            raise UsageError(
                f"The synthesiser “{self.name}” has no model for “{language}”.", code="no_voice", language=language
            )
        return self.opened(key)

    def opened(self, key: str) -> Network:
        with self._lock:
            if key not in self._networks:
                use_threads(self._torch, self._options)
                self._networks[key] = Resident(lambda: self.open(key))
        return self._networks[key]()

    def synthesize(self, request: SpeechRequest) -> Audio:
        """Mono speech at ``sample_rate``; the same seed gives the same speech.

        Raises:
            UsageError: ``no_voice``, ``unknown_voice``.
            EngineError: ``nothing_to_speak``, ``out_of_memory``, ``engine_failed``.
        """
        return self.synthesize_batch([request])[0]

    def synthesize_batch(self, requests: Sequence[SpeechRequest]) -> list[Audio]:
        """Speech of every request, in their order. Raises as :meth:`synthesize` does, for the first that fails."""
        out: list[list[Audio]] = [[] for _ in requests]
        rows: dict[str, list[tuple[int, SpeechRequest, list[int]]]] = {}
        for number, request in enumerate(requests):
            self.check_voice(request)
            network = self.network(request.language)
            own_rows = [
                (number, request, ids)
                for part in pieces(request.text, self._fits(network, request.language))
                if (ids := network.tokens(part, request.language))
            ]
            if not own_rows:
                raise EngineError("The text has nothing that this voice can speak.", code="nothing_to_speak")
            rows.setdefault(str(self.model_of(request.language)), []).extend(own_rows)
        for mine in rows.values():
            network = self.network(mine[0][1].language)
            spoken = in_batches(mine, partial(self._run, network), self._batch, size_of)
            for (number, _, _), audio in zip(mine, spoken, strict=True):
                out[number].append(audio)
        return [join(parts, self.sample_rate) for parts in out]

    def check_voice(self, request: SpeechRequest) -> None:
        known = [voice.id for voice in self.voices(request.language)]
        if known and request.voice not in known:
            raise UsageError(
                f"There is no voice “{request.voice}” for “{request.language}”. Known: {', '.join(known)}.",
                code="unknown_voice",
                voice=request.voice,
            )

    def _fits(self, network: Network, language: str) -> Callable[[str], bool]:
        return lambda part: len(part) < 2 or len(network.tokens(part, language)) <= LONGEST

    def _run(self, network: Network, batch: Sequence[tuple[int, SpeechRequest, list[int]]]) -> list[Audio]:
        torch = self._torch
        low, high = self.native_speed
        requests = [replace(row[1], speed=float(np.clip(row[1].speed, low, high))) for row in batch]
        half = self._dtype != torch.float32
        with (
            self._lock,
            torch.inference_mode(),
            torch.autocast(self._device.type, self._dtype, enabled=half),
            noise_by_row(torch, [request.seed for request in requests]),
        ):
            waveforms = network.run([row[2] for row in batch], requests)
        for audio in waveforms:
            if not audio.size or not np.isfinite(audio).all():
                raise EngineError("The model returned no usable sound for this text.", code="engine_failed")
        return [resample(audio, network.sample_rate, self.sample_rate) for audio in waveforms]


def size_of(row: tuple[int, SpeechRequest, list[int]]) -> float:
    return len(row[2])


@contextmanager
def noise_by_row(torch: Any, seeds: Sequence[int]) -> Iterator[None]:
    """Inside, ``torch.randn`` and ``randn_like`` of ``[batch, channels, time]`` draw each row by its own seed.

    Time by time, so that a row is the same however far it is padded. The model is left as the library wrote it.
    """
    from torch.overrides import TorchFunctionMode

    drawn = 0

    def draw(shape: Sequence[int]) -> Any:
        nonlocal drawn
        # A generator for each draw: how many numbers a padded row took before must not matter.
        drawn += 1
        rows = [
            np.random.default_rng([drawn, seed]).standard_normal((shape[2], shape[1]), np.float32).T for seed in seeds
        ]
        return torch.from_numpy(np.ascontiguousarray(np.stack(rows)))

    class ByRow(TorchFunctionMode):  # type: ignore[misc,unused-ignore]  # without its library: Any
        def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            if func is torch.randn:
                shape = args[0] if len(args) == 1 and not isinstance(args[0], int) else args
                if len(shape) == 3 and shape[0] == len(seeds):
                    return draw(shape)
            if func is torch.randn_like and args[0].dim() == 3 and args[0].shape[0] == len(seeds):
                return draw(args[0].shape).to(args[0].device, args[0].dtype)
            return func(*args, **(kwargs or {}))

    with ByRow():
        yield


def padded(torch: Any, batch: Sequence[Sequence[int]], filler: int, device: Any) -> tuple[Any, Any]:
    """Token ids ``[batch, longest]`` and their numbers ``[batch]``."""
    sizes = [len(row) for row in batch]
    ids = torch.full((len(batch), max(sizes)), filler, dtype=torch.long)
    for index, row in enumerate(batch):
        ids[index, : len(row)] = torch.tensor(row, dtype=torch.long)
    return ids.to(device), torch.tensor(sizes, device=device)
