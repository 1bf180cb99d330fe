"""Films joined from shots with every kind of transition, which are labelled, and with flashes and moving cameras, which
are none.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import av
import cv2
import numpy as np

FPS, WIDTH, HEIGHT = 25, 320, 180

Kind = Literal["cut", "dissolve", "fade", "wipe"]
Disturbance = Literal["flash", "pan", "zoom", "shake"]

SECONDS: Mapping[str, tuple[float, float]] = {"dissolve": (0.2, 2.0), "fade": (0.4, 2.0), "wipe": (0.4, 1.2)}
"""Shortest and longest gradual transition of each kind."""
SHOT_SECONDS = (1.6, 4.0)
"""Of a shot between its transitions."""
TOLERANCE = 0.08
"""Seconds by which a detection may miss a transition, two frames at the usual rate."""

Pool = Mapping[str, Sequence[np.ndarray]]
"""Pictures ``[frames, height, width, 3]`` of single shots, RGB, by what they show: no film joins two of one group."""


@dataclass(frozen=True)
class Transition:
    """A label: the first frame that is not the old shot's alone, and the first that is the new one's alone."""

    kind: Kind
    first: int
    last: int


@dataclass(frozen=True)
class Film:
    path: Path
    frames: int
    transitions: Sequence[Transition]
    disturbances: int
    fps: int = FPS


@dataclass(frozen=True)
class Counts:
    """Detections that meet a transition, transitions, and all detections."""

    hits: int = 0
    transitions: int = 0
    detections: int = 0

    def __add__(self, other: Counts) -> Counts:
        return Counts(self.hits + other.hits, self.transitions + other.transitions, self.detections + other.detections)

    @property
    def precision(self) -> float:
        return self.hits / self.detections if self.detections else 1.0

    @property
    def recall(self) -> float:
        return self.hits / self.transitions if self.transitions else 1.0

    @property
    def f1(self) -> float:
        total = self.transitions + self.detections
        return 2 * self.hits / total if total else 1.0


def score(film: Film, detections: Sequence[float]) -> Counts:
    """Each transition takes one detection within it, give or take :data:`TOLERANCE`; a second one there is false.

    Args:
        detections: Frame numbers where shots begin.
    """
    left, hits = sorted(detections), 0
    for transition in film.transitions:
        low, high = transition.first - TOLERANCE * film.fps, transition.last + TOLERANCE * film.fps
        inside = [at for at in left if low - 0.5 < at < high + 0.5]
        if inside:
            hits += 1
            left.remove(inside[0])
    return Counts(hits, len(film.transitions), len(detections))


def read_shots(path: Path, edges: Sequence[int] = (), skip: int = 0) -> list[np.ndarray]:
    """The shots of a file by the numbers of their first frames, cropped to 16 : 9, without its last ``skip`` frames."""
    with av.open(str(path)) as container:
        pictures = np.stack([fit(frame.to_ndarray(format="rgb24")) for frame in container.decode(video=0)])
    pictures = pictures[: len(pictures) - skip]
    return [part for part in np.split(pictures, list(edges)) if len(part)]


def fit(image: np.ndarray) -> np.ndarray:
    """The middle of a picture in the size of the films."""
    height, width = image.shape[:2]
    scale = max(WIDTH / width, HEIGHT / height)
    size = round(width * scale), round(height * scale)
    if size != (width, height):
        image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    top, left = (image.shape[0] - HEIGHT) // 2, (image.shape[1] - WIDTH) // 2
    return image[top : top + HEIGHT, left : left + WIDTH]


class Shot:
    """A stretch of a clip, mirrored or not, a little larger or brighter; shown to and fro where it is too short."""

    def __init__(self, clip: np.ndarray, length: int, draw: np.random.Generator) -> None:
        self._clip = clip
        self._first = int(draw.integers(max(1, len(clip) - length)))
        self._mirrored = bool(draw.integers(2))
        self._gain = draw.uniform(0.85, 1.15)
        self._scale = draw.uniform(1.0, 1.25)

    def __getitem__(self, number: int) -> np.ndarray:
        at = (self._first + number) % (2 * len(self._clip))
        image = self._clip[min(at, 2 * len(self._clip) - 1 - at)]
        image = view(image[:, ::-1] if self._mirrored else image, self._scale, 0.0, 0.0)
        return np.clip(image * self._gain, 0, 255).astype(np.uint8)


def view(image: np.ndarray, scale: float, x: float, y: float) -> np.ndarray:
    """A part of a picture, ``scale`` times as large; x and y from −1 to 1 say where it lies."""
    slack = 1 - 1 / scale
    left, top = (1 + x) / 2 * slack * WIDTH, (1 + y) / 2 * slack * HEIGHT
    matrix = np.array([[scale, 0, -left * scale], [0, scale, -top * scale]])
    return cv2.warpAffine(image, matrix, (WIDTH, HEIGHT), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)


class Disturbed:
    """A shot with a flash in its middle, or seen by a camera that pans, zooms or shakes all along."""

    def __init__(self, shot: Shot, kind: Disturbance, length: int, draw: np.random.Generator) -> None:
        self._shot, self._kind, self._length = shot, kind, length
        self._middle = length // 2 + int(draw.integers(-8, 8))
        peak = draw.uniform(0.7, 1.0)
        flashes = ([peak], [peak, 0.5 * peak], [peak, peak, 0.6 * peak, 0.3 * peak], [peak, 0.1, 0.0, peak, 0.4 * peak])
        self._flash = flashes[int(draw.integers(len(flashes)))]
        self._from, self._to = draw.permutation([-1.0, 1.0])
        self._scales = draw.permutation([1.0, draw.uniform(1.5, 2.2)])
        self._jitter = draw.uniform(-1, 1, (2 * length, 2))

    def __getitem__(self, number: int) -> np.ndarray:
        image, share = self._shot[number], min(1.0, number / self._length)
        if self._kind == "flash":
            at = number - self._middle
            light = self._flash[at] if 0 <= at < len(self._flash) else 0.0
            return (image + (255 - image) * light).astype(np.uint8)
        if self._kind == "pan":
            return view(image, 2.0, self._from + share * (self._to - self._from), 0.0)
        if self._kind == "zoom":
            return view(image, self._scales[0] + share * (self._scales[1] - self._scales[0]), 0.0, 0.0)
        return view(image, 1.15, *self._jitter[number % len(self._jitter)])


def mixed(kind: Kind, old: np.ndarray, new: np.ndarray, share: float, direction: int) -> np.ndarray:
    """The picture when ``share`` of a gradual transition is over, 0 < share < 1."""
    if kind == "dissolve":
        return ((1 - share) * old + share * new).astype(np.uint8)
    if kind == "fade":
        shown, light = (old, 1 - 2.4 * share) if share < 0.5 else (new, 2.4 * share - 1.4)
        return (shown * max(0.0, light)).astype(np.uint8)
    x, y = np.meshgrid(np.linspace(0, 1, WIDTH), np.linspace(0, 1, HEIGHT))
    way = (x, 1 - x, y, (x + y) / 2)[direction]
    # An edge of a tenth of the picture.
    weight = np.clip((share * 1.1 - way) / 0.1, 0, 1)[..., None]
    return ((1 - weight) * old + weight * new).astype(np.uint8)


def make_film(
    path: Path, pool: Pool, kinds: Sequence[Kind], disturbances: Sequence[Disturbance | None], seed: int
) -> Film:
    """A film of one shot more than ``kinds``, joined by them; ``disturbances`` has one for each shot."""
    draw = np.random.default_rng(seed)
    groups, shots = sorted(pool), []
    group = ""
    lengths = [0 if kind == "cut" else round(FPS * draw.uniform(*SECONDS[kind])) for kind in kinds]
    bodies = [round(FPS * draw.uniform(*SHOT_SECONDS)) for _ in range(len(kinds) + 1)]
    for number, disturbance in enumerate(disturbances):
        group = str(draw.choice([name for name in groups if name != group]))
        clips = pool[group]
        # A shot is seen within the transitions on either side of it as well.
        before = lengths[number - 1] if number else 0
        after = lengths[number] if number < len(kinds) else 0
        whole = before + bodies[number] + after
        shot = Shot(clips[int(draw.integers(len(clips)))], whole, draw)
        shots.append(Disturbed(shot, disturbance, whole, draw) if disturbance else shot)
    transitions: list[Transition] = []
    at = 0
    for kind, body, length in zip(kinds, bodies, lengths, strict=False):
        at += body
        transitions.append(Transition(kind, at, at + length))
        at += length
    directions = draw.integers(0, 4, len(kinds))

    def pictures() -> Iterator[np.ndarray]:
        for number, shot in enumerate(shots):
            before = lengths[number - 1] if number else 0
            for frame in range(bodies[number]):
                yield shot[before + frame]
            if number < len(kinds):
                for frame in range(lengths[number]):
                    share = (frame + 1) / (lengths[number] + 1)
                    old, new = shot[before + bodies[number] + frame], shots[number + 1][frame]
                    yield mixed(kinds[number], old, new, share, int(directions[number]))

    frames = write_film(path, pictures())
    return Film(path, frames, transitions, sum(item is not None for item in disturbances))


def write_film(path: Path, pictures: Iterator[np.ndarray], fps: int = FPS) -> int:
    """Encode pictures as H.264 without sound; how many there were."""
    count = 0
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=fps, options={"crf": "23", "preset": "veryfast"})
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        for picture in pictures:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")))
            count += 1
        container.mux(stream.encode(None))
    return count


def at_rate(film: Film, path: Path, fps: int) -> Film:
    """The film as a camera of ``fps`` would have it: pictures between are moved along the optical flow, cuts stay cuts.

    A cut lies on any frame of the new rate, odd ones too.
    """
    cuts = {transition.first for transition in film.transitions if transition.kind == "cut"}
    flow = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_ULTRAFAST)
    with av.open(str(film.path)) as container:
        shown = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    places = np.arange(int((len(shown) - 1) * fps / FPS) + 1) * FPS / fps

    def pictures() -> Iterator[np.ndarray]:
        for place in places.tolist():
            at, share = int(place), place % 1
            if share < 1e-6:
                yield shown[at]
            elif at + 1 in cuts:
                yield shown[at + round(share)]
            else:
                yield between(shown[at], shown[at + 1], share, flow)

    def moved(frame: int, at_cut: bool) -> int:
        earliest = frame - 0.5 if at_cut else frame - 1 + 1e-6
        return int(np.searchsorted(places, earliest, side="right"))

    transitions = [
        Transition(item.kind, moved(item.first, item.first in cuts), moved(item.last, item.first in cuts))
        for item in film.transitions
    ]
    return Film(path, write_film(path, pictures(), fps), transitions, film.disturbances, fps)


def between(old: np.ndarray, new: np.ndarray, share: float, flow: cv2.DISOpticalFlow) -> np.ndarray:
    """The picture at ``share`` of the way from one to the next."""
    motion = flow.calc(cv2.cvtColor(old, cv2.COLOR_RGB2GRAY), cv2.cvtColor(new, cv2.COLOR_RGB2GRAY), None)
    grid = np.stack(np.meshgrid(np.arange(WIDTH), np.arange(HEIGHT)), axis=-1).astype(np.float32)
    sides = [
        cv2.remap(image, grid + way * motion, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        for image, way in ((old, -share), (new, 1 - share))
    ]
    return cv2.addWeighted(sides[0], 1 - share, sides[1], share, 0)


def drawn_shots(sample: Path) -> Pool:
    """The shots of the bundled sample, without the frames of its fade."""
    from tests.sample import script

    shots = read_shots(sample, script.cuts())
    return {scene: [shot[10:-10]] for scene, shot in zip((shot.scene for shot in script.SHOTS), shots, strict=True)}


REAL: Mapping[str, tuple[str, int]] = {
    "film 1": ("dubbed-shots/1445350_26_en.mp4", 0),
    "film 2": ("dubbed-shots/80145138_271_en.mp4", 0),
    "film 3": ("dubbed-shots/81215414_12_en.mp4", 0),
    "clapping woman": ("silent-video/103_*.avi", 0),
    "talk show": ("silent-video/Aishwarya*.avi", 12),  # Its end is the beginning of a dissolve.
    "clapping child": ("silent-video/Alex*.avi", 0),
    "archer's front": ("silent-video/v_Archery_g01_c0[234].avi", 0),
    "archer's side": ("silent-video/v_Archery_g01_c0[56].avi", 0),
    "archer's back": ("silent-video/v_Archery_g01_c07.avi", 0),
    "golf range": ("silent-video/v_GolfSwing_g01_*.avi", 0),
    "golf lawn": ("silent-video/v_GolfSwing_g02_c01.avi", 0),
    "golf porch": ("silent-video/v_GolfSwing_g02_c02.avi", 0),
}
"""Real clips of one shot each, most by a moving hand: where they lie, and the frames that are left off their ends."""


def real_shots(data: Path) -> Pool:
    return {
        name: [shot for path in sorted(data.glob(pattern)) for shot in read_shots(path, skip=skip)]
        for name, (pattern, skip) in REAL.items()
    }
