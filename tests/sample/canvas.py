"""A small antialiased painter in numpy: shapes on a float32 ``[height, width, 3]`` picture seen through a camera."""

from __future__ import annotations

import numpy as np

Colour = tuple[float, float, float]


def scaled(colour: Colour, by: float) -> Colour:
    red, green, blue = colour
    return by * red, by * green, by * blue


def rgb(code: str) -> Colour:
    """``"ff8800"`` → (1.0, 0.53, 0.0)."""
    return (int(code[0:2], 16) / 255, int(code[2:4], 16) / 255, int(code[4:6], 16) / 255)


class Canvas:
    """Scene coordinates are the picture's pixels at zoom 1; the camera looks at ``centre`` enlarged by ``zoom``."""

    def __init__(self, width: int, height: int, centre: tuple[float, float] | None = None, zoom: float = 1.0) -> None:
        self.pixels = np.zeros((height, width, 3), np.float32)
        self.width, self.height, self.zoom = width, height, zoom
        cx, cy = centre or (width / 2, height / 2)
        self.xs = ((np.arange(width, dtype=np.float32) + 0.5 - width / 2) / zoom + cx)[None, :]
        self.ys = ((np.arange(height, dtype=np.float32) + 0.5 - height / 2) / zoom + cy)[:, None]

    def _window(self, x0: float, y0: float, x1: float, y1: float) -> tuple[slice, slice]:
        edge = 1.5 / self.zoom
        columns = np.searchsorted(self.xs[0], (x0 - edge, x1 + edge))
        rows = np.searchsorted(self.ys[:, 0], (y0 - edge, y1 + edge))
        return slice(*rows), slice(*columns)

    def _paint(self, window: tuple[slice, slice], distance: np.ndarray, colour: Colour, alpha: float) -> None:
        """Blend where the signed ``distance`` (scene units, negative inside) says, half a pixel soft."""
        cover = np.clip(0.5 - distance * self.zoom, 0, 1)[..., None] * alpha
        part = self.pixels[window]
        part += cover * (np.asarray(colour, np.float32) - part)

    def sky(self, top: Colour, bottom: Colour, y0: float = 0, y1: float = 270) -> None:
        """A vertical gradient over the whole picture."""
        share = np.clip((self.ys - y0) / (y1 - y0), 0, 1)[..., None]
        self.pixels[:] = np.asarray(top, np.float32) * (1 - share) + np.asarray(bottom, np.float32) * share

    def ellipse(self, x: float, y: float, rx: float, ry: float, colour: Colour, alpha: float = 1.0) -> None:
        if rx <= 0 or ry <= 0:
            return
        window = self._window(x - rx, y - ry, x + rx, y + ry)
        r = np.hypot((self.xs[:, window[1]] - x) / rx, (self.ys[window[0]] - y) / ry)
        self._paint(window, (r - 1) * min(rx, ry), colour, alpha)

    def glow(self, x: float, y: float, radius: float, colour: Colour, alpha: float) -> None:
        """Light that falls off smoothly to nothing at ``radius``."""
        window = self._window(x - radius, y - radius, x + radius, y + radius)
        r = np.hypot(self.xs[:, window[1]] - x, self.ys[window[0]] - y) / radius
        share = (alpha * np.clip(1 - r, 0, 1) ** 2)[..., None]
        part = self.pixels[window]
        part += share * (np.asarray(colour, np.float32) - part)

    def box(
        self, x0: float, y0: float, x1: float, y1: float, colour: Colour, radius: float = 0.0, alpha: float = 1.0
    ) -> None:
        window = self._window(x0, y0, x1, y1)
        dx = np.abs(self.xs[:, window[1]] - (x0 + x1) / 2) - (x1 - x0) / 2 + radius
        dy = np.abs(self.ys[window[0]] - (y0 + y1) / 2) - (y1 - y0) / 2 + radius
        outside = np.hypot(np.maximum(dx, 0), np.maximum(dy, 0)) + np.minimum(np.maximum(dx, dy), 0)
        self._paint(window, outside - radius, colour, alpha)

    def polygon(self, points: list[tuple[float, float]], colour: Colour, alpha: float = 1.0) -> None:
        """Convex, clockwise on the screen."""
        xs, ys = [p[0] for p in points], [p[1] for p in points]
        window = self._window(min(xs), min(ys), max(xs), max(ys))
        distance = np.full((1, 1), -1e9, np.float32)
        for (ax, ay), (bx, by) in zip(points, points[1:] + points[:1], strict=True):
            length = np.hypot(bx - ax, by - ay)
            side = ((by - ay) * (self.xs[:, window[1]] - ax) - (bx - ax) * (self.ys[window[0]] - ay)) / length
            distance = np.maximum(distance, side)
        self._paint(window, distance, colour, alpha)

    def line(
        self, x0: float, y0: float, x1: float, y1: float, width: float, colour: Colour, alpha: float = 1.0
    ) -> None:
        """A stroke with round ends."""
        half = width / 2
        window = self._window(min(x0, x1) - half, min(y0, y1) - half, max(x0, x1) + half, max(y0, y1) + half)
        dx, dy = x1 - x0, y1 - y0
        px, py = self.xs[:, window[1]] - x0, self.ys[window[0]] - y0
        along = np.clip((px * dx + py * dy) / (dx * dx + dy * dy + 1e-9), 0, 1)
        self._paint(window, np.hypot(px - along * dx, py - along * dy) - half, colour, alpha)

    def hills(self, base: float, heights: list[tuple[float, float, float]], shift: float, colour: Colour) -> None:
        """Everything below a sum of sines ``(height, wavelength, phase)`` moved by ``shift``."""
        crest = base - sum(h * np.sin(2 * np.pi * (self.xs + shift) / w + p) for h, w, p in heights)
        self._paint((slice(None), slice(None)), crest - self.ys, colour, 1.0)

    def rgb24(self, brightness: float = 1.0) -> np.ndarray:
        """uint8 ``[height, width, 3]``."""
        return np.round(np.clip(self.pixels * brightness, 0, 1) * 255).astype(np.uint8)
