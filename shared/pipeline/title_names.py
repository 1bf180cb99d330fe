"""From what a user names to titles: finding videos, safe folder names."""

from __future__ import annotations

import glob
import re
import unicodedata
from collections.abc import Iterable, Sequence
from pathlib import Path

from shared.core.errors import InputError, UsageError

VIDEO_SUFFIXES = frozenset(
    f".{suffix}"
    for suffix in "mp4 m4v mkv mov webm avi ts mts m2ts mpg mpeg wmv flv 3gp ogv vob mxf".split()  # noqa: SIM905
)
"""What a folder is searched for; a file named directly is taken whatever its suffix."""

MAX_NAME_BYTES = 120


SOUND_SUFFIXES = frozenset(f".{suffix}" for suffix in "wav flac mp3 ogg opus m4a aac aiff aif caf".split())  # noqa: SIM905


def find_videos(inputs: Sequence[str], suffixes: frozenset[str] = VIDEO_SUFFIXES) -> list[Path]:
    """Expand files, folders (recursively, by suffix) and globs, in the order given, each file once.

    Raises:
        UsageError: ``no_input`` when something named matches nothing, ``bad_name`` for a name that is not UTF-8.
        InputError: ``unreadable`` for a folder that cannot be listed.
    """
    paths: dict[Path, None] = {}
    for text in inputs:
        path = Path(text)
        if path.is_dir():
            videos = [item for item in walk(path) if item.suffix.lower() in suffixes]
        elif path.exists():
            videos = [path]
        else:
            matches = sorted(glob.glob(text, recursive=True))  # noqa: PTH207 - Path.glob takes no absolute pattern
            videos = [Path(match) for match in matches if Path(match).is_file()]
        if not videos:
            raise UsageError(f"“{text}” names no video: no such file, folder or match.", code="no_input")
        for video in videos:
            check_name(video)
        # One file, one path, however it was named; its own name stays even where that is a link.
        paths.update((video.parent.resolve() / video.name, None) for video in videos)
    return list(paths)


def check_name(video: Path) -> None:
    """Refuse names that neither the database nor the output's JSON could hold."""
    try:
        str(video.absolute()).encode()
    except UnicodeEncodeError as error:
        shown = str(video).encode(errors="backslashreplace").decode()
        raise UsageError(f"The name “{shown}” is not valid UTF-8. Rename the file.", code="bad_name") from error


def walk(folder: Path) -> Iterable[Path]:
    """Files below a folder in a stable order."""
    try:
        entries = sorted(folder.iterdir())
    except OSError as error:
        raise InputError(f"The folder “{folder.name}” cannot be read: {error.strerror}.", code="unreadable") from error
    for entry in entries:
        if entry.is_dir():
            if not entry.is_symlink():
                yield from walk(entry)
        else:
            yield entry


def safe_name(stem: str) -> str:
    """A folder name from a file's stem: letters, digits, ``-``, ``_``, ``.``; never empty, hidden or a path."""
    text = unicodedata.normalize("NFC", stem)
    text = re.sub(r"[^\w.-]+", "-", text).strip("-.")
    while len(text.encode()) > MAX_NAME_BYTES:
        text = text[:-1]
    return text or "title"


def unique_name(stem: str, taken: Iterable[str]) -> str:
    """``clip``, or ``clip-2``, ``clip-3`` … when taken (ignoring case, as some file systems do)."""
    return _free(safe_name(stem), {name.casefold() for name in taken}, 1)


def unique_names(stems: Iterable[str]) -> list[str]:
    """:func:`unique_name` of each stem beside those before it."""
    used: set[str] = set()
    reached: dict[str, int] = {}
    names = []
    for stem in stems:
        base = safe_name(stem)
        number = reached[base.casefold()] = reached.get(base.casefold(), 0) + 1
        name = _free(base, used, number)
        used.add(name.casefold())
        names.append(name)
    return names


def _free(base: str, used: set[str], number: int) -> str:
    name = base if number == 1 else f"{base}-{number}"
    while name.casefold() in used:
        number += 1
        name = f"{base}-{number}"
    return name
