"""Which clips of a video data set are trained and tested on, from its published lists.

UCF101 (``ucfTrainTestlist``), HMDB51 (``testTrainMulti_7030_splits``), VGGSound (``vggsound.csv``), LVU's nine tasks
(``lvu_1.0/<task>/{train,val,test}.csv``), and a folder a class below ``train``, ``valid`` and ``test``.
"""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

from shared.core.errors import InputError

VIDEOS = frozenset({".avi", ".mp4", ".mkv", ".webm", ".mov", ".wav", ".flac", ".ogg", ".mp3"})
LVU_CLASSES = ("relationship", "way_speaking", "scene", "director", "writer", "year", "genre")
LVU_REGRESSIONS = ("like_ratio", "view_count")
LVU_TASKS = (*LVU_CLASSES, *LVU_REGRESSIONS)


class ListedClip(NamedTuple):
    """A file, its class (or the value of a regression), its split and the recording it was cut from."""

    file: Path
    label: str
    split: str
    source: str


class Listing(NamedTuple):
    """Clips that are there, and how many of the list are not."""

    name: str
    clips: list[ListedClip]
    missing: int
    leaks: int = 0
    """Recordings that published lists train and test on; elsewhere they are an error."""
    regression: bool = False


def ucf101(folder: Path, split: int = 1) -> Listing:
    """``<action>/v_<action>_g<group>_c<clip>.avi``; clips of a group are of one recording and stay on one side."""
    lists = find_list(folder, "ucfTrainTestlist")
    files = by_name(folder)
    rows = []
    for side, name in (("train", f"trainlist{split:02d}.txt"), ("test", f"testlist{split:02d}.txt")):
        for line in lines(lists / name):
            action, _, file = line.split()[0].partition("/")
            rows.append((file, action, side, re.sub(r"_c\d+$", "", Path(file).stem)))
    return listing("ucf101", files, rows)


def hmdb51(folder: Path, split: int = 1) -> Listing:
    """``<action>/<name>.avi``; in the lists 1 is train, 2 test, 0 left out."""
    lists = find_list(folder, "testTrainMulti_7030_splits")
    files = by_name(folder)
    rows = []
    for file in sorted(lists.glob(f"*_test_split{split}.txt")):
        action = file.name.removesuffix(f"_test_split{split}.txt")
        for line in lines(file):
            name, _, side = line.strip().rpartition(" ")
            if side in {"1", "2"}:
                # <film>_<action>_<body>_<camera>_<persons>_<angle>_<quality>_<number>: a film's clips belong together.
                film = re.sub(rf"_{re.escape(action)}_\w_\w+_np\d_\w+_\w+_\d+$", "", Path(name.strip()).stem)
                rows.append((name.strip(), action, "train" if side == "1" else "test", film))
    # Films are read off names, which the lists were not made by: what they share is counted.
    return listing("hmdb51", files, rows, strict=False)


def vggsound(folder: Path, split: int = 1) -> Listing:
    """``vggsound.csv`` (id, second, label, split) and ``<id>_<second>.mp4`` anywhere below."""
    files = by_name(folder, stem=True)
    rows = []
    try:
        with find_list(folder, "vggsound.csv").open(encoding="utf-8", newline="") as file:
            for row in csv.reader(file):
                video, second, label, side = row[:4]
                rows.append((f"{video}_{int(second):06d}", label, side.strip(), video))
    except (ValueError, OSError) as error:
        raise InputError(f"vggsound.csv is not as published: {error}.", code="not_a_listing") from error
    return listing("vggsound", files, rows)


def lvu(folder: Path, task: str) -> Listing:
    """One of LVU's nine tasks; clips are ``<video id>.<ext>`` anywhere below.

    Values of regressions are as the benchmark has them: ``ln`` of the views; ten times the share of likes among likes
    and dislikes.
    """
    if task not in LVU_TASKS:
        raise InputError(f"LVU has no task “{task}” (it has {', '.join(LVU_TASKS)}).", code="not_a_listing")
    lists, files = find_list(folder, "lvu_1.0") / task, by_name(folder, stem=True)
    rows = []
    for side, name in (("train", "train"), ("valid", "val"), ("test", "test")):
        for line in lines(lists / f"{name}.csv")[1:]:
            columns = line.split()
            video = next((column for column in (columns[-2], columns[-1]) if column in files), columns[-2])
            rows.append((video, lvu_label(task, columns), side, video))
    return listing(f"lvu/{task}", files, rows)._replace(regression=task in LVU_REGRESSIONS)


def lvu_label(task: str, columns: list[str]) -> str:
    if task == "view_count":
        return str(math.log(float(columns[0])))
    if task == "like_ratio":
        likes, dislikes = float(columns[0]), float(columns[1])
        return str(10 * likes / (likes + dislikes))
    return columns[0]


def classes(folder: Path, split: int = 1) -> Listing:
    """``train/<class>/<file>``, ``test/<class>/<file>`` and perhaps ``valid/…``; a file is its own recording."""
    clips = []
    for side in ("train", "valid", "test"):
        clips += [
            ListedClip(file, file.relative_to(folder).parts[1], side, file.stem)
            for file in by_name(folder / side).values()
            if len(file.relative_to(folder).parts) > 2
        ]
    return checked(Listing(folder.name, clips, 0))


LISTINGS: dict[str, Callable[[Path, int], Listing]] = {
    "ucf101": ucf101,
    "hmdb51": hmdb51,
    "vggsound": vggsound,
    "folders": classes,
}


def find_list(folder: Path, name: str) -> Path:
    """A published list, wherever it lies below."""
    place = next((path for path in sorted(folder.rglob(name))), None)
    if place is None:
        raise InputError(f"“{folder.name}” does not hold {name}, the published lists.", code="not_a_listing")
    return place


def lines(file: Path) -> list[str]:
    try:
        return [line for line in file.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()]
    except OSError as error:
        raise InputError(f"{file.name} cannot be read: {error.strerror}.", code="not_a_listing") from error


def by_name(folder: Path, stem: bool = False) -> dict[str, Path]:
    """Clips below a folder by name; a list's own text never becomes a path."""
    files = (file for file in sorted(folder.rglob("*")) if file.suffix.lower() in VIDEOS and file.is_file())
    return {file.stem if stem else file.name: file for file in files}


def listing(
    name: str, files: dict[str, Path], rows: Iterable[tuple[str, str, str, str]], strict: bool = True
) -> Listing:
    clips, missing = [], 0
    for key, label, side, source in rows:
        if key in files:
            clips.append(ListedClip(files[key], label, side, source))
        else:
            missing += 1
    return checked(Listing(name, clips, missing), strict)


def checked(listing: Listing, strict: bool = True) -> Listing:
    """Raises InputError ``not_a_listing`` without train or test clips, ``leaking_folds`` for a recording on both."""
    sides: dict[str, set[str]] = {}
    for clip in listing.clips:
        sides.setdefault(clip.split, set()).add(clip.source)
    for side in ("train", "test"):
        if side not in sides:
            raise InputError(
                f"No clip to {side} on is there ({listing.missing} of the lists are missing).", code="not_a_listing"
            )
    leaked = sorted(sides["test"] & (sides["train"] | sides.get("valid", set())))
    if leaked and strict:
        raise InputError(
            f"{len(leaked)} recordings are trained and tested on, the first being “{leaked[0]}”.",
            code="leaking_folds",
            sources=leaked[:20],
        )
    return listing._replace(leaks=len(leaked))
