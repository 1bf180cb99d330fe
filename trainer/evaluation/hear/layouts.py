"""Lay data sets out as HEAR tasks: ESC-10 and ESC-50, spoken digits, a folder a class.

Sounds become mono 16-bit WAV at 48 kHz of their own length, under plain names; clips of one source recording stay in
one fold.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import soundfile as sf

from shared.core.errors import InputError, StorageError
from trainer.evaluation.embedding import read_wave
from trainer.evaluation.hear.tasks import SOURCES, HearTask, read_task

RATE = 48_000
SOUNDS = frozenset({".wav", ".ogg", ".flac", ".mp3", ".aif", ".aiff"})


class Item(NamedTuple):
    """A sound to lay out."""

    file: Path
    label: str
    split: str
    source: str


def esc(source: Path) -> list[Item]:
    """ESC-10 or ESC-50: ``<class>/<fold>-<source>-<take>.<ext>`` or ``audio/<fold>-<source>-<take>-<class>.wav``.

    Of the second (the official archive) the class is a number; ``meta/esc50.csv`` need not be there.
    """
    items = []
    for file in sounds(source):
        parts = file.stem.split("-")
        if len(parts) < 3 or not parts[0].isdecimal():
            continue
        label = parts[3] if len(parts) > 3 else re.sub(r"^\d+ - ", "", file.parent.name)
        items.append(Item(file, label, f"fold{int(parts[0]) - 1:02d}", f"{parts[0]}-{parts[1]}"))
    return items


def digits(source: Path) -> list[Item]:
    """Free Spoken Digit Dataset: ``<digit>_<speaker>_<n>.wav``; a fold a speaker, so that none is on two sides."""
    items = []
    for file in sounds(source):
        parts = file.stem.split("_")
        if len(parts) == 3 and parts[0].isdecimal():
            items.append(Item(file, parts[0], f"fold-{parts[1]}", parts[1]))
    return items


def digit_takes(source: Path) -> list[Item]:
    """The same by its own split: takes 0–4 are tested; of the others every fifth stops (speakers are on all sides)."""
    items = []
    for file in sounds(source):
        parts = file.stem.split("_")
        if len(parts) == 3 and parts[0].isdecimal() and parts[2].isdecimal():
            take = int(parts[2])
            split = "test" if take < 5 else "valid" if take % 5 == 0 else "train"
            items.append(Item(file, parts[0], split, file.stem))
    return items


def folders(source: Path) -> list[Item]:
    """A folder a class, or a folder a split with those in it; else five folds by the hash of a file's source.

    The source of a file is its name up to the last ``-`` or ``_`` and a number, so ``rain_03.wav`` and ``rain_04.wav``
    stay together.
    """
    top = {path.name for path in source.iterdir() if path.is_dir()}
    splits = {"train", "valid", "test"} if {"train", "valid", "test"} <= top else set()
    items = []
    for file in sounds(source):
        inner = file.relative_to(source).parts
        split = inner[0] if splits and inner[0] in splits else ""
        if len(inner) < 2 + bool(split):
            continue
        label = inner[1] if split else inner[0]
        origin = (
            f"{label}/{re.sub(r'(?:[-_]|(?<![0-9]))[0-9]++$', '', file.stem) or file.stem}" if not split else file.stem
        )
        fold = int(hashlib.sha256(origin.encode()).hexdigest(), 16) % 5
        items.append(Item(file, label, split or f"fold{fold:02d}", f"{split}{origin}"))
    return items


LAYOUTS: dict[str, Callable[[Path], list[Item]]] = {
    "esc": esc,
    "digits": digits,
    "digit-takes": digit_takes,
    "folders": folders,
}


def sounds(folder: Path) -> list[Path]:
    """Sound files below a folder, in order; links out of it are not followed.

    Raises:
        InputError: ``no_clips`` if it is no folder.
    """
    if not folder.is_dir():
        raise InputError(f"“{folder.name}” is no folder.", code="no_clips")
    return sorted(file for file in folder.rglob("*") if file.suffix.lower() in SOUNDS and file.is_file())


def lay_out(
    layout: str,
    source: Path,
    target: Path,
    name: str = "",
    progress: Callable[[int, int], None] = lambda done, of: None,
) -> HearTask:
    """Write a HEAR task from a data set; the folder appears whole or not at all.

    Args:
        layout: One of :data:`LAYOUTS`.
        source: Folder of the data set.
        target: Folder of the task; must not be there, or be a task already (then it is read).
        name: Of the task; that of the target folder by default.
        progress: Told how many clips of how many are written.

    Raises:
        InputError: ``no_clips``; ``bad_audio`` and others of :func:`read_wave`; those of :func:`read_task`.
        StorageError: ``not_writable``.
    """
    if (target / "task_metadata.json").is_file():
        return read_task(target)
    if target.exists() and any(target.iterdir()):
        raise StorageError(f"“{target.name}” holds something else already.", code="not_writable")
    items = LAYOUTS[layout](source)
    if not items:
        raise InputError(f"“{source.name}” holds no sounds in the layout “{layout}”.", code="no_clips")
    part = target.with_name(f".{target.name}.part")
    try:
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(parents=True)
        write_task(items, part, name or target.name, progress)
        task = read_task(part)
        part.replace(target)
    except OSError as error:
        raise StorageError(f"The task cannot be written: {error.strerror}.", code="not_writable") from error
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return task._replace(folder=target)


def write_task(items: Sequence[Item], folder: Path, name: str, progress: Callable[[int, int], None]) -> None:
    splits = sorted({item.split for item in items})
    labels = sorted({item.label for item in items}, key=natural)
    rows: dict[str, dict[str, list[str]]] = {split: {} for split in splits}
    sources = {}
    for index, item in enumerate(items):
        plain = re.sub(r"[^A-Za-z0-9._-]+", "-", f"{item.label}-{item.file.stem}") + ".wav"
        if plain in sources:
            plain = f"{hashlib.sha256(str(item.file).encode()).hexdigest()[:12]}-{plain}"
        path = folder / str(RATE) / item.split / plain
        path.parent.mkdir(parents=True, exist_ok=True)
        sf.write(str(path), read_wave(item.file, RATE), RATE, subtype="PCM_16")
        rows[item.split][plain] = [item.label]
        sources[plain] = item.source
        progress(index + 1, len(items))
    mode = "trainvaltest" if set(splits) == {"train", "valid", "test"} else "new_split_kfold"
    metadata = {
        "task_name": name,
        "version": "counterdub-1",
        "embedding_type": "scene",
        "prediction_type": "multiclass",
        "split_mode": mode,
        "sample_duration": None,
        "evaluation": ["top1_acc"],
        "splits": splits,
    }
    for split, own in rows.items():
        dump(folder / f"{split}.json", own)
    dump(folder / SOURCES, sources)
    dump(folder / "task_metadata.json", metadata)
    lines = ["idx,label", *(f'{index},"{label.replace(chr(34), chr(34) * 2)}"' for index, label in enumerate(labels))]
    (folder / "labelvocabulary.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")


def natural(label: str) -> tuple[int, str]:
    return (int(label), "") if label.isdecimal() else (1 << 30, label)


def dump(path: Path, data: object) -> None:
    path.write_text(json.dumps(data, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
