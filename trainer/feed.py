"""What a training is fed with: batches of shots, and a source of them that can stop and go on anywhere."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Protocol, TypedDict

import torch


class Batch(TypedDict, total=False):
    """One step's shots on the host; only the streams that the recipe reads are there.

    ``B`` shots, ``T`` frames of ``S`` × ``S`` pixels, ``C`` channels of ``N`` samples. A feed that holds power mel
    spectrograms already gives ``mel_*`` instead of ``audio_*``.
    """

    video_p: torch.Tensor
    """uint8 ``[B, T, S, S, 3]``, RGB."""
    video_s: torch.Tensor
    audio_p: torch.Tensor
    """int16 ``[B, C, N]`` at ``audio.sample_rate``."""
    audio_s: torch.Tensor
    mel_p: torch.Tensor
    """float32 ``[B, C, mels, frames]``, power."""
    mel_s: torch.Tensor
    shot: torch.Tensor
    """int64 ``[B]``, unique over the data: same number, same shot."""
    title: torch.Tensor
    """int64 ``[B]``."""
    track_p: torch.Tensor
    """int64 ``[B]``, index into :attr:`Feed.tracks`."""
    track_s: torch.Tensor


class Feed(Protocol):
    """Endless batches of one process. ``state_dict`` is that after the last batch *taken*, whatever was prefetched."""

    tracks: tuple[str, ...]
    steps_per_epoch: int
    """The same in every process, however the shots divide."""
    counts: Mapping[str, int]
    """Shots skipped so far, by reason."""

    def __iter__(self) -> Iterator[Batch]: ...

    def held_out(self) -> Iterator[Batch]:
        """The held-out shots of this process, once, centre windows, no augmentation."""
        ...

    def state_dict(self) -> dict[str, Any]: ...

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on exactly there, on whatever number of workers and as many processes.

        Raises:
            UsageError: ``other_data`` if the data changed, ``other_processes``.
        """
        ...

    def close(self) -> None: ...


class MakeFeed(Protocol):
    """What an entry point of ``counterdub.feed`` is."""

    def __call__(self, data: str, recipe: Any, rank: int, world: int) -> Feed:
        """Open the folder ``data``. InputErrors: ``empty_dataset``, ``no_index``, ``too_few_titles`` and others."""
        ...
