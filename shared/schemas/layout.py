"""Where everything of a title lies in the output folder. Paths are relative to it, with forward slashes."""

from __future__ import annotations

from pathlib import PurePosixPath

ORIG, CONTROL = "orig", "control"


def track_language(track: str, source_language: str | None) -> str | None:
    """The language spoken on a track; None when the source's is unknown."""
    return source_language if track in {ORIG, CONTROL} else track


def clip_suffix(track: str, source_language: str | None) -> str:
    """Last part of a clip's name: LVU-M writes the source language for the original sound.

    A re-voicing, a dub into the source language itself, would collide with it and is called ``<language>-revoiced``.
    """
    if track == ORIG:
        return source_language or ORIG
    return f"{track}-revoiced" if track == source_language else track


def clip_path(title: str, shot: int, track: str, source_language: str | None) -> str:
    return posix(title, "shots", f"{title}_{shot}_{clip_suffix(track, source_language)}.mp4")


def track_path(title: str, track: str) -> str:
    return posix(title, "tracks", f"{track}.flac")


def speech_path(title: str, track: str) -> str | None:
    """The dubbed speech alone; the original has no such stem."""
    return None if track == ORIG else posix(title, "stems", f"speech.{track}.flac")


def stem_path(title: str, stem: str) -> str:
    """``vocals`` or ``background``."""
    return posix(title, "stems", f"{stem}.flac")


def utterances_path(title: str, track: str, source_language: str | None) -> str:
    """``orig`` names the source transcript."""
    return posix(title, "utterances", f"{clip_suffix(track, source_language)}.jsonl")


def subtitle_path(title: str, track: str, source_language: str | None, kind: str) -> str:
    """``kind`` is ``srt`` or ``vtt``; ``orig`` names the source's."""
    return posix(title, "subtitles", f"{clip_suffix(track, source_language)}.{kind}")


def audition_path(title: str, language: str, kind: str) -> str:
    """Voices beside the people they speak for; ``kind`` is ``flac`` or ``json``."""
    return posix(title, "auditions", f"{language}.{kind}")


def posix(*parts: str) -> str:
    return str(PurePosixPath(*parts))
