"""Pictures made fit for 8 bit and a whole frame at a time: HDR tone-mapped to BT.709, fields put together."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av.error
import av.filter
import numpy as np

PQ, HLG = 16, 18
"""Transfer characteristics of HDR (ITU-T H.273)."""
HDR = {PQ: "PQ", HLG: "HLG"}
SIZE = 33
"""Steps of the table in each colour: what grading tables usually have."""
WHITE_NITS = 203.0
"""Diffuse white of HDR (ITU-R BT.2408), which becomes SDR's."""
PEAK_NITS = 1000.0
"""Brightest light that is told from what is brighter: the reference of HLG, and of most PQ masters."""
KNEE = 0.75
"""Share of SDR's range below which light is left as it is; above, it is rolled off."""
# Linear BT.2020 to BT.709 (ITU-R BT.2087).
TO_709 = np.array([[1.6605, -0.5876, -0.0728], [-0.1246, 1.1329, -0.0083], [-0.0182, -0.1006, 1.1187]])


def tone_mapped(signal: np.ndarray, transfer: int) -> np.ndarray:
    """R'G'B' of BT.2020 HDR, 0–1 ``[..., 3]`` → R'G'B' of BT.709, 0–1.

    Light up to three quarters of diffuse white stays; what is brighter is rolled off, hue kept, up to 1,000 cd/m².
    """
    light = nits(np.clip(signal, 0.0, 1.0), transfer) / WHITE_NITS
    rgb = np.clip(light @ TO_709.T, 0.0, None)
    brightest = np.maximum(rgb.max(axis=-1, keepdims=True), 1e-9)
    rgb = np.clip(rgb * (rolled_off(brightest) / brightest), 0.0, 1.0)
    return np.asarray(np.where(rgb < 0.018, 4.5 * rgb, 1.099 * np.power(np.maximum(rgb, 0.018), 0.45) - 0.099))


def nits(signal: np.ndarray, transfer: int) -> np.ndarray:
    """Light on a display of 1,000 cd/m², cd/m²."""
    if transfer == PQ:
        m1, m2, c1, c2, c3 = 2610 / 16384, 2523 / 4096 * 128, 3424 / 4096, 2413 / 4096 * 32, 2392 / 4096 * 32
        power = np.power(signal, 1 / m2)
        return np.asarray(10_000.0 * np.power(np.maximum(power - c1, 0.0) / (c2 - c3 * power), 1 / m1))
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    scene = np.where(signal <= 0.5, signal**2 / 3, (np.exp((signal - c) / a) + b) / 12)
    luma = scene @ np.array([0.2627, 0.6780, 0.0593])
    return np.asarray(PEAK_NITS * scene * np.power(np.maximum(luma, 1e-9), 0.2)[..., None])


def rolled_off(light: np.ndarray) -> np.ndarray:
    """Light relative to diffuse white → 0–1: straight up to the knee, then an exponential up to 1 at the peak."""
    room, top = 1.0 - KNEE, PEAK_NITS / WHITE_NITS
    over = np.maximum(light - KNEE, 0.0)
    bent = KNEE + room * (1 - np.exp(-over / room)) / (1 - np.exp(-(top - KNEE) / room))
    return np.asarray(np.minimum(np.where(light <= KNEE, light, bent), 1.0))


def cube(transfer: int) -> str:
    """The tone mapping as a table in the format of Iridas, which FFmpeg's ``lut3d`` reads; red changes fastest."""
    steps = np.linspace(0.0, 1.0, SIZE)
    blue, green, red = np.meshgrid(steps, steps, steps, indexing="ij")
    rows = tone_mapped(np.stack([red, green, blue], axis=-1), transfer).reshape(-1, 3)
    return f"LUT_3D_SIZE {SIZE}\n" + "".join(f"{r:.6f} {g:.6f} {b:.6f}\n" for r, g, b in rows)


class Grading:
    """Frames on their way into an 8-bit picture: what needs nothing passes as it is.

    Args:
        first: The first frame; its marks hold for all.
    """

    def __init__(self, first: Any) -> None:
        transfer = int(first.color_trc)
        self._hdr = transfer in HDR
        self.needed = self._hdr or bool(first.interlaced_frame)
        self._folder = tempfile.TemporaryDirectory() if self._hdr else None
        if not self.needed:
            return
        self._graph: Any = av.filter.Graph()
        chain: list[Any] = [self._graph.add_buffer(template=None, **buffer_facts(first))]
        if first.interlaced_frame:
            chain.append(self._graph.add("bwdif", "mode=send_frame:deint=interlaced"))
        if self._folder is not None:
            table = Path(self._folder.name) / "hdr.cube"
            table.write_text(cube(transfer), encoding="ascii")
            chain.append(self._graph.add("scale", "in_color_matrix=bt2020"))
            chain.append(self._graph.add("format", "gbrp16le"))
            chain.append(self._graph.add("lut3d", f"file={table}:interp=tetrahedral"))
            chain.append(self._graph.add("scale", "out_color_matrix=bt709:out_range=tv"))
            chain.append(self._graph.add("format", "yuv420p"))
        chain.append(self._graph.add("buffersink"))
        self._graph.link_nodes(*chain).configure()
        self._shape = (first.width, first.height, first.format.name)

    def push(self, time: float, frame: Any) -> Iterator[tuple[float, Any]]:
        """Frames that are ready, with when they are shown."""
        if not self.needed:
            yield time, frame
            return
        width, height, form = self._shape
        if (frame.width, frame.height, frame.format.name) != self._shape:
            frame = frame.reformat(width, height, form)  # The graph is made for the first frame's shape.
        frame.pts, frame.time_base = round(time * TICKS), Fraction(1, TICKS)
        self._graph.push(frame)
        yield from self._ready()

    def finish(self) -> Iterator[tuple[float, Any]]:
        """The frames that were held back."""
        if self.needed:
            self._graph.push(None)
            yield from self._ready()
        if self._folder is not None:
            self._folder.cleanup()

    def _ready(self) -> Iterator[tuple[float, Any]]:
        while True:
            try:
                frame = self._graph.pull()
            except (av.error.BlockingIOError, av.error.EOFError):
                return
            if self._hdr:
                frame.color_trc = frame.color_primaries = BT709
                frame.colorspace = BT709
            yield float(frame.pts * frame.time_base), frame


TICKS = 90_000
BT709 = 1


def buffer_facts(frame: Any) -> dict[str, Any]:
    return {"width": frame.width, "height": frame.height, "format": frame.format, "time_base": Fraction(1, TICKS)}
