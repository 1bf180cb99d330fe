"""Demucs (Défossez 2021, Rouard et al. 2023): the vocals of music and film by waveform and hybrid networks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, NamedTuple

import numpy as np

from services.separation import blocks
from services.separation.engines import demucs_weights
from shared.audio.signal import fit_length, resample
from shared.core.errors import EngineError
from shared.core.records import SAMPLE_RATE
from shared.engines.accelerator import BatchSize, in_batches, torch_device, torch_dtype
from shared.engines.protocols import EngineOptions, Licence, WeightFiles, missing

STEM = "vocals"
OVERLAP = 0.25
"""Share of a segment that the next one hears again (demucs' own default)."""
CONTEXT_SECONDS = 5.0
"""Heard before and after a block of a long input and thrown away."""
LONGEST = 90 * SAMPLE_RATE
"""Samples that are separated at once; longer input goes in equal blocks, so that memory does not grow with it."""
BATCH_SECONDS = 64.0
"""Of sound at a time on a card, where no batch_size is named: 8 segments of htdemucs, one of mdx_extra (44 s)."""
SILENCE = 1e-8
"""Standard deviation of a mix that has nothing in it."""


class BagMember(NamedTuple):
    """A network of a bag."""

    network: Any
    weight: float
    """Its share in the vocals; members without one are not run."""
    stem: int
    length: int
    """Samples of a segment, at the network's rate."""


class Demucs:
    """Vocals of a stereo mix.

    Options: ``model`` (htdemucs, htdemucs_ft, mdx_extra, mdx_extra_q, or the path of a folder), ``device``,
    ``threads``; ``extra``: ``batch_size`` (segments at a time), ``overlap`` (0.25; more costs more and averages more,
    as demucs' random shifts do, but the same every time), ``dtype`` (float32 unless set: half precision is heard in
    the background, which is what is left of the mix), ``allow_download``.
    """

    name: ClassVar[str] = "demucs"
    packages: ClassVar[tuple[str, ...]] = ("demucs", "torch")
    model_packages: ClassVar[Mapping[str, tuple[str, ...]]] = {"mdx_extra_q": ("diffq-fixed",)}
    licence: ClassVar[Licence] = Licence(
        "MIT",
        note="The publisher states MIT for the project. The models learned from MUSDB18-HQ, whose songs are for "
        "research, and from songs that are not public.",
    )
    memory_mb: ClassVar[int] = 4000
    """On a card, 8 segments of htdemucs at work, reckoned and rounded up."""
    memory_by_model: ClassVar[Mapping[str, int]] = {"htdemucs_ft": 4500, "mdx_extra": 7000, "mdx_extra_q": 7000}

    @classmethod
    def weights(cls, options: EngineOptions) -> tuple[str, ...]:
        return ()

    @classmethod
    def digests(cls, options: EngineOptions) -> dict[str, str]:
        """Hashes of weights that are not in the registry; known without loading anything."""
        return demucs_weights.digests(options)

    @classmethod
    def absent(cls, options: EngineOptions, language: str) -> tuple[str, ...]:
        return demucs_weights.absent(options)

    @classmethod
    def repositories(cls, options: EngineOptions, language: str) -> tuple[str, ...]:
        return demucs_weights.repositories(options)

    def __init__(self, options: EngineOptions, weights: WeightFiles) -> None:
        try:
            import demucs.apply
            import torch
        except ImportError as error:
            raise missing("separator", self.name, error) from error

        self._torch = torch
        self._device = torch_device(options)
        self.dtype = torch_dtype(options) if options.extra.get("dtype") else torch.float32
        batch = options.extra.get("batch_size", 1 if self._device.type == "cpu" else None)
        self._overlap = float(options.extra.get("overlap", OVERLAP))
        if not 0 <= self._overlap < 1 or (batch is not None and int(batch) < 1):
            raise EngineError(
                "Demucs needs an overlap from 0 to below 1 and a batch_size of 1 or more.", code="bad_setting"
            )
        if self._device.type == "cpu":
            torch.set_num_threads(options.threads)
        model = demucs_weights.load(options)
        if STEM not in model.sources or model.audio_channels != 2:
            raise EngineError("This Demucs model has no stereo vocals.", code="bad_model")
        self._rate = int(model.samplerate)
        bag = isinstance(model, demucs.apply.BagOfModels)
        given = zip(model.models, model.weights, strict=True) if bag else [(model, None)]
        self._members = [member for member in map(self._member, given) if member.weight]
        longest = max(member.length for member in self._members) / self._rate
        self._batch = BatchSize(round(BATCH_SECONDS / longest) if batch is None else int(batch))

    def _member(self, given: tuple[Any, Any]) -> BagMember:
        network, shares = given
        stem = network.sources.index(STEM)
        network = network.to(self._device).eval()
        return BagMember(
            network, 1.0 if shares is None else float(shares[stem]), stem, int(self._rate * network.segment)
        )

    def vocals(self, mix: np.ndarray) -> np.ndarray:
        """The vocals of a mix ``[channels, samples]`` at 48 kHz, same shape.

        The networks take stereo: of a single channel, given twice, the mean of both is taken; more than two go pair
        by pair. Beyond its input and output, the memory it takes does not depend on the length.

        Raises:
            EngineError: ``out_of_memory``, ``bad_engine_output`` when half precision overflows.
        """
        samples = mix.shape[1]
        if samples <= LONGEST:
            return self._separate(mix)
        context = round(CONTEXT_SECONDS * SAMPLE_RATE)
        out, at = np.empty(mix.shape, np.float32), 0
        for piece in blocks.separate(
            self._separate,
            lambda first, last: mix[:, first:last],
            0,
            samples,
            samples,
            context=context,
            largest=LONGEST - 2 * context,
        ):
            out[:, at : at + piece.shape[1]] = piece
            at += piece.shape[1]
        return out

    def _separate(self, mix: np.ndarray) -> np.ndarray:
        pairs = [self._pair(mix[first : first + 2]) for first in range(0, len(mix), 2)]
        return np.concatenate(pairs).astype(np.float32, copy=False)

    def _pair(self, mix: np.ndarray) -> np.ndarray:
        channels, samples = mix.shape
        audio = resample(np.repeat(mix, 2, axis=0) if channels == 1 else mix, SAMPLE_RATE, self._rate)
        # As demucs does with a whole track: its networks take level out too, but not of very quiet sound.
        middle = audio.mean(axis=0)
        mean, spread = (float(middle.mean()), float(audio.std())) if audio.size else (0.0, 0.0)
        if spread < SILENCE:
            return np.zeros_like(mix, dtype=np.float32)
        vocals = self.at_own_rate((audio - np.float32(mean)) / np.float32(spread)) * np.float32(spread)
        if channels == 1:
            vocals = vocals.mean(axis=0, keepdims=True)
        return fit_length(resample(vocals, self._rate, SAMPLE_RATE), samples)

    def at_own_rate(self, audio: np.ndarray) -> np.ndarray:
        """The vocals of stereo at the networks' own rate, ``[2, samples]``: what ``demucs.apply.apply_model`` gives."""
        total = sum(member.weight for member in self._members)
        parts = (np.float32(member.weight / total) * self._by_segments(member, audio) for member in self._members)
        vocals: np.ndarray = np.stack(list(parts)).sum(axis=0, dtype=np.float32)
        return vocals

    def _by_segments(self, member: BagMember, audio: np.ndarray) -> np.ndarray:
        """Overlapping segments, each faded in and out by a triangle."""
        count, length = audio.shape[1], member.length
        stride = max(1, int((1 - self._overlap) * length))
        offsets = list(range(0, count, stride))
        segments = in_batches(
            offsets, lambda some: self._batched(member, audio, some), self._batch, lambda at: min(length, count - at)
        )
        rise = np.arange(1, length // 2 + 1)
        window = np.concatenate([rise, np.arange(length - length // 2, 0, -1)]).astype(np.float32) / (
            length - length // 2
        )
        out, weight = np.zeros((2, count), np.float32), np.zeros(count, np.float32)
        for at, piece in zip(offsets, segments, strict=True):
            shape = window[: piece.shape[1]]
            out[:, at : at + piece.shape[1]] += shape * piece
            weight[at : at + piece.shape[1]] += shape
        return out / weight

    def _batched(self, member: BagMember, audio: np.ndarray, offsets: list[int]) -> list[np.ndarray]:
        """The vocals of the segments that start at ``offsets``: those of one length in one run."""
        torch = self._torch
        lengths = [min(member.length, audio.shape[1] - at) for at in offsets]
        results: dict[int, np.ndarray] = {}
        for length in sorted(set(lengths)):
            chosen = [at for at, one in zip(offsets, lengths, strict=True) if one == length]
            wanted = length
            if hasattr(member.network, "valid_length"):
                wanted = int(member.network.valid_length(length))
            heard = np.stack([around(audio, at - (wanted - length) // 2, wanted) for at in chosen])
            half = self.dtype != torch.float32
            with torch.inference_mode(), torch.autocast(self._device.type, self.dtype, enabled=half):
                out = member.network(torch.from_numpy(heard).to(self._device))[:, member.stem].float().cpu().numpy()
            if not np.isfinite(out).all():
                raise EngineError(
                    "Demucs' numbers overflowed. Use dtype=float32 or dtype=bfloat16.", code="bad_engine_output"
                )
            first = (out.shape[-1] - length) // 2
            results |= dict(zip(chosen, out[..., first : first + length], strict=True))
        return [results[at] for at in offsets]


def around(audio: np.ndarray, first: int, count: int) -> np.ndarray:
    """``count`` samples of ``[channels, samples]`` from ``first`` on, zeros beyond both ends."""
    inside = audio[:, max(0, first) : max(0, first + count)]
    left = max(0, -first)
    return np.pad(inside, ((0, 0), (left, count - left - inside.shape[1])))
