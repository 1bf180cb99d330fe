"""The sample's picture: eight small animated scenes. Each is a function of time within the shot and who is speaking."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from tests.sample.canvas import Canvas, rgb, scaled
from tests.sample.script import FADE_FRAMES, FPS, HEIGHT, SAMPLE_RATE, SEED, SHOTS, WIDTH

Mouths = dict[str, float]
"""How open each speaker's mouth is, 0 to 1."""

LOOKS = {
    "Anna": {"skin": rgb("f2c9a5"), "hair": rgb("8a3b1f"), "coat": rgb("2f8f83"), "lip": rgb("b23a4a")},
    "Tom": {"skin": rgb("d9a079"), "hair": rgb("2a2530"), "coat": rgb("c9772b"), "lip": rgb("8f4436")},
}
INK, WHITE = rgb("20202a"), rgb("ffffff")


def person(c: Canvas, who: str, x: float, y: float, size: float, t: float, mouth: float, look: float) -> None:
    """Head at ``(x, y)`` with radius ``size``, shoulders below; ``look`` from -1 (left) to 1 (right)."""
    p, r = LOOKS[who], size
    y += r * (0.03 * np.sin(1.7 * t + len(who)) - 0.05 * mouth)
    turn = 0.22 * r * look
    if who == "Anna":
        c.box(x - 1.12 * r, y - 0.9 * r, x + 1.12 * r, y + 1.75 * r, p["hair"], 0.9 * r)
    c.box(x - 1.75 * r, y + 1.35 * r, x + 1.75 * r, y + 9 * r, p["coat"], 0.9 * r)
    c.box(x - 0.35 * r, y + 0.6 * r, x + 0.35 * r, y + 1.6 * r, scaled(p["skin"], 0.88), 0.25 * r)
    if who == "Tom":
        c.ellipse(x, y - 0.2 * r, 1.03 * r, 1.12 * r, p["hair"])
    c.ellipse(x, y, 0.92 * r, 1.1 * r, p["skin"])
    if who == "Tom":
        c.box(x - 0.95 * r, y - 1.22 * r, x + 0.95 * r, y - 0.55 * r, p["hair"], 0.33 * r)
        c.ellipse(x + turn, y + 0.86 * r, 0.6 * r, 0.34 * r, p["hair"])
    else:
        c.ellipse(x - 0.35 * r, y - 0.85 * r, 0.8 * r, 0.42 * r, p["hair"])
        c.ellipse(x + 0.45 * r, y - 0.8 * r, 0.6 * r, 0.36 * r, p["hair"])
    shut = (t + 0.9 * len(who)) % 3.1 < 0.14
    for side in (-1, 1):
        ex, ey = x + turn + side * 0.36 * r, y - 0.12 * r
        c.ellipse(ex, ey, 0.17 * r, 0.03 * r if shut else 0.2 * r, INK if shut else WHITE)
        if not shut:
            c.ellipse(ex + 0.06 * r * look, ey, 0.09 * r, 0.12 * r, INK)
        c.line(ex - 0.18 * r, ey - 0.32 * r, ex + 0.18 * r, ey - (0.34 + 0.08 * mouth) * r, 0.08 * r, p["hair"])
    c.line(x + turn * 1.3, y + 0.1 * r, x + turn * 1.6, y + 0.3 * r, 0.09 * r, scaled(p["skin"], 0.8))
    c.ellipse(x + turn, y + 0.6 * r, (0.3 - 0.08 * mouth) * r, (0.06 + 0.24 * mouth) * r, p["lip"])
    if mouth > 0.15:
        c.ellipse(x + turn, y + 0.62 * r, 0.17 * r, 0.15 * mouth * r, rgb("3a1018"))


def rain(
    c: Canvas, t: float, count: int, alpha: float, x0: float = 0, y0: float = 0, x1: float = 480, y1: float = 270
) -> None:
    drops = np.random.default_rng((SEED, 11)).random((count, 3))
    for u, v, w in drops:
        x = x0 + u * (x1 - x0)
        y = y0 + ((v + t * (0.9 + 0.5 * w)) % 1.0) * (y1 - y0 - 12)
        c.line(x, y, x - 2, y + 9, 0.9, rgb("b9cbe8"), alpha)


def window(c: Canvas, x: float, y: float, width: float, height: float, t: float) -> None:
    """A window with the night and the rain behind it."""
    c.box(x - 6, y - 6, x + width + 6, y + height + 6, rgb("6b4226"), 3)
    c.box(x, y, x + width, y + height, rgb("1d2c4d"))
    rain(c, t, 14, 0.35, x + 3, y, x + width, y + height)
    c.box(x + width / 2 - 2, y, x + width / 2 + 2, y + height, rgb("6b4226"))


def house(t: float, m: Mouths) -> Canvas:
    c = Canvas(WIDTH, HEIGHT, (240 - 6 * t, 135), 1.04 + 0.02 * t)
    flash = max(0.0, 1 - abs(t - 1.1) / 0.18)
    dusk = 0.16 + 0.25 * flash
    red, green, blue = rgb("7a4f7c")
    c.sky((dusk + 0.02, dusk + 0.02, dusk + 0.17), (0.2 * flash + red, 0.2 * flash + green, 0.2 * flash + blue))
    c.hills(190, [(22, 260, 0.4), (9, 90, 1.0)], 0, rgb("2b2547"))
    c.hills(225, [(10, 340, 2.0)], 0, rgb("1b1930"))
    c.box(270, 130, 360, 222, rgb("3a2c3f"))
    c.polygon([(258, 134), (315, 84), (372, 134)], rgb("201722"))
    c.glow(296, 166, 60, rgb("ffc76b"), 0.6)
    c.box(282, 150, 310, 182, rgb("ffd98a"), 2)
    c.box(326, 172, 348, 222, rgb("5b2f24"), 2)
    c.line(180, 226, 180, 140, 7, rgb("171322"))
    sway = 4 * np.sin(1.9 * t)
    for dx, dy, r in ((0, 120, 34), (-22, 140, 24), (24, 138, 26)):
        c.ellipse(180 + dx + sway, dy, r, r, rgb("232447"))
    rain(c, t, 70, 0.4)
    return c


def room(t: float, m: Mouths) -> Canvas:
    c = Canvas(WIDTH, HEIGHT, (240, 135 + 0.3 * t), 1.0 + 0.006 * t)
    c.sky(rgb("d98e4a"), rgb("a85b35"))
    c.box(-20, 218, 500, 300, rgb("5a3020"))
    window(c, 200, 40, 90, 90, t)
    c.box(20, 30, 80, 220, rgb("7c3f25"), 3)
    c.ellipse(70, 130, 4, 4, rgb("e8c76a"))
    c.glow(420, 60, 120, rgb("fff0b8"), 0.5 + 0.04 * np.sin(7 * t))
    c.polygon([(400, 66), (410, 36), (430, 36), (440, 66)], rgb("f7dc8c"))
    walk = 150 - 60 * max(0.0, 1 - max(0.0, t - 4.4) / 1.6)
    person(c, "Tom", walk, 120, 27, t, m["Tom"], 1)
    person(c, "Anna", 345, 122, 25, t, m["Anna"], -1)
    c.box(200, 196, 320, 208, rgb("7a4a2b"), 4)
    c.box(212, 206, 222, 270, rgb("6a3d22"))
    c.box(298, 206, 308, 270, rgb("6a3d22"))
    c.box(250, 180, 268, 196, WHITE, 3)
    for k in range(3):
        c.ellipse(259 + 4 * np.sin(2 * t + k), 172 - 8 * k - 4 * (t % 1), 3 + k, 4, WHITE, 0.2)
    return c


def anna(t: float, m: Mouths) -> Canvas:
    c = Canvas(WIDTH, HEIGHT, (240, 135), 1.0 + 0.012 * t)
    c.sky(rgb("3e6b57"), rgb("22402f"))
    colours = [rgb(v) for v in ("b5523b", "d9a441", "4b7ea8", "8a5a83", "c9c2a5")]
    for shelf in range(3):
        for book in range(9):
            x, y = 286 + 22 * book, 20 + 86 * shelf
            c.box(x, y + 5 * ((book * 7 + shelf) % 4), x + 17, y + 66, colours[(book * 3 + shelf) % 5], 2)
        c.box(280, 86 + 86 * shelf, 500, 93 + 86 * shelf, rgb("5a3a24"))
    c.glow(60, 40, 150, rgb("ffe3a1"), 0.35)
    person(c, "Anna", 180, 125, 62, t, m["Anna"], 0.7)
    return c


def tom(t: float, m: Mouths) -> Canvas:
    c = Canvas(WIDTH, HEIGHT, (240, 135), 1.06 - 0.01 * t)
    c.sky(rgb("4c5f92"), rgb("2b3358"))
    window(c, 30, 25, 130, 170, t)
    person(c, "Tom", 305, 122, 62, t, m["Tom"], -0.7)
    c.polygon([(200, 205), (272, 196), (280, 262), (206, 275)], rgb("f3ead0"))
    for k in range(4):
        c.line(214, 216 + 11 * k, 264, 210 + 11 * k, 2, rgb("77777f"))
    return c


def clock(t: float, m: Mouths) -> Canvas:
    c = Canvas(WIDTH, HEIGHT)
    c.sky(rgb("8c1f2b"), rgb("5a1220"))
    swing = 0.35 * np.sin(2 * np.pi * t / 1.2)
    c.line(240, 130, 240 + 130 * np.sin(swing), 130 + 130 * np.cos(swing), 6, rgb("c99b3f"))
    c.ellipse(240 + 120 * np.sin(swing), 130 + 120 * np.cos(swing), 20, 20, rgb("e8c76a"))
    c.ellipse(240, 115, 98, 98, rgb("c99b3f"))
    c.ellipse(240, 115, 88, 88, rgb("fbf3dc"))
    for hour in range(12):
        a = hour * np.pi / 6
        c.line(240 + 72 * np.sin(a), 115 - 72 * np.cos(a), 240 + 82 * np.sin(a), 115 - 82 * np.cos(a), 4, INK)
    for length, width, a in ((48, 7, -1.05), (70, 4, 0.05 + 0.02 * t), (76, 1.6, int(t * 4) / 4 * 1.3)):
        c.line(240, 115, 240 + length * np.sin(a), 115 - length * np.cos(a), width, INK)
    c.ellipse(240, 115, 6, 6, rgb("8c1f2b"))
    return c


def table(t: float, m: Mouths) -> Canvas:
    c = Canvas(WIDTH, HEIGHT, (240 + 1.5 * t, 135), 1.05)
    c.sky(rgb("2e8c93"), rgb("14474f"))
    for k in range(9):
        c.box(-20 + 60 * k, -10, 6 + 60 * k, 290, rgb("277d84"), alpha=0.6)
    lamp = 240 + 10 * np.sin(1.3 * t)
    c.line(240, -10, lamp, 40, 2.5, INK)
    c.glow(lamp, 62, 150, rgb("fff2bd"), 0.5)
    c.polygon([(lamp - 30, 60), (lamp - 10, 36), (lamp + 10, 36), (lamp + 30, 60)], rgb("e2543f"))
    person(c, "Tom", 125, 128, 40, t, m["Tom"], 0.9)
    person(c, "Anna", 358, 130, 38, t, m["Anna"], -0.9)
    c.box(-20, 222, 500, 300, rgb("d8b98a"), 4)
    c.polygon([(215, 232), (265, 230), (272, 252), (208, 254)], rgb("f8f2dd"))
    c.ellipse(310, 236, 16, 6, WHITE)
    return c


def train(t: float, m: Mouths) -> Canvas:
    c = Canvas(WIDTH, HEIGHT)
    c.sky(rgb("0b1440"), rgb("3b2f6e"))
    for u, v, w in np.random.default_rng((SEED, 12)).random((45, 3)):
        c.ellipse(480 * u, 150 * v, 0.8 + 0.6 * w, 0.8 + 0.6 * w, WHITE, 0.5 + 0.4 * np.sin(3 * t + 20 * w))
    c.ellipse(390, 55, 24, 24, rgb("fff3cf"))
    c.ellipse(399, 50, 21, 21, rgb("141c4b"))
    c.hills(165, [(25, 300, 0), (10, 110, 2)], 18 * t, rgb("1c1d4a"))
    c.hills(195, [(14, 210, 1)], 55 * t, rgb("12143a"))
    c.box(-10, 214, 500, 300, rgb("0b0c22"))
    nose = -60 + 110 * t
    for car in range(5):
        x = nose - 118 * car
        c.box(x - 110, 168, x, 212, rgb("a8323a" if car else "d9a441"), 7)
        for pane in range(4):
            c.box(x - 101 + 25 * pane, 177, x - 84 + 25 * pane, 192, rgb("ffe39a"), 2)
        for wheel in (-92, -70, -40, -18):
            c.ellipse(x + wheel, 213, 7, 7, rgb("30303c"))
    c.glow(nose + 10, 190, 80, rgb("fff6cf"), 0.6)
    for pole in range(3):
        x = (220 * pole - 160 * t) % 660 - 60
        c.line(x, 270, x, 120, 5, rgb("07081a"))
    return c


def sea(t: float, m: Mouths) -> Canvas:
    c = Canvas(WIDTH, HEIGHT, (240, 135), 1.0 + 0.006 * t)
    c.sky(rgb("8fd3f4"), rgb("fff1d0"), 0, 170)
    c.glow(250, 90, 130, rgb("fff7c8"), 0.8)
    c.ellipse(250, 90, 22, 22, rgb("ffe27a"))
    for k in range(3):
        x = (90 + 170 * k + 9 * t) % 540 - 30
        for dx, r in ((-18, 10), (0, 15), (18, 11)):
            c.ellipse(x + dx, 40 + 14 * (k % 2), r, r * 0.7, WHITE, 0.85)
    for k, colour in enumerate(("3aa0c9", "2b86b5", "1f6e9e")):
        c.hills(150 + 20 * k, [(2.5 + k, 90 + 30 * k, k)], 25 * t * (1 - 2 * (k % 2)), rgb(colour))
    c.box(-10, 222, 500, 300, rgb("e8d3a0"))
    for k in range(2):
        x, y, flap = 330 - 28 * t + 60 * k, 60 + 16 * k, 6 * np.sin(9 * t + k)
        c.line(x - 11, y - flap, x, y, 2, INK)
        c.line(x, y, x + 11, y - flap, 2, INK)
    c.box(-20, 20, 62, 290, rgb("2456b8"))
    c.box(58, 10, 70, 290, rgb("f4f4ee"))
    c.ellipse(46, 150, 5, 5, rgb("e8c76a"))
    person(c, "Tom", 150, 138, 36, t, m["Tom"], 0.8)
    person(c, "Anna", 350, 142, 34, t, m["Anna"], -0.5)
    return c


SCENES: dict[str, Callable[[float, Mouths], Canvas]] = {
    f.__name__: f for f in (house, room, anna, tom, clock, table, train, sea)
}


def mouths(stems: dict[str, np.ndarray], frames: int) -> list[Mouths]:
    """Loudness of each speaker's stem per frame, 0 to 1."""
    step = SAMPLE_RATE // FPS
    opened = {}
    for name, stem in stems.items():
        level = np.sqrt(np.mean(stem[: frames * step].reshape(frames, step) ** 2, axis=1))
        opened[name] = np.clip(level / (0.8 * level.max()) - 0.05, 0, 1)
    return [{name: float(value[i]) for name, value in opened.items()} for i in range(frames)]


def brightness(frame: int) -> float:
    """1 but near a fade's cut, which is fully black."""
    total, level = 0, 1.0
    for shot in SHOTS:
        if shot.kind == "fade":
            level = min(level, max(0.0, abs(frame - total) - 1) / (FADE_FRAMES / 2 - 1))
        total += shot.frames
    return min(1.0, level)


def render(stems: dict[str, np.ndarray]) -> Iterator[np.ndarray]:
    """Every frame of the title, uint8 ``[height, width, 3]``."""
    opened = mouths(stems, sum(shot.frames for shot in SHOTS))
    frame = 0
    for shot in SHOTS:
        for i in range(shot.frames):
            yield SCENES[shot.scene](i / FPS, opened[frame]).rgb24(brightness(frame))
            frame += 1
