"""Embeddings of video files: the picture's mean over windows and five crops, the sound's mean over windows."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from shared.core.errors import CounterdubError, InputError
from trainer.encoder import Encoder
from trainer.evaluation.cache import EmbeddingCache, file_digest

VERSION = "1"


class Files(NamedTuple):
    """Embeddings of files; rows of what a file lacks or what could not be read are nan.

    Attributes:
        audio: float32 ``[files, audio_size]``.
        video: float32 ``[files, video_size]``.
        digests: sha256 of each file; empty where it could not be opened.
        skipped: Files that could not be read, by reason.
        computed: Files that the encoder worked on.
    """

    audio: np.ndarray
    video: np.ndarray
    digests: list[str]
    skipped: dict[str, int]
    computed: int


def embed_clips(
    encoder: Encoder,
    files: Sequence[Path],
    cache: EmbeddingCache,
    progress: Callable[[int, int], None] = lambda done, of: None,
) -> Files:
    """Embed files, each content once; one that cannot be read does not stop the others."""
    from trainer.embedding.files import embed_file

    size = encoder.audio_size + encoder.video_size
    rows = np.full((len(files), size), np.nan, dtype=np.float32)
    digests: list[str] = []
    skipped: dict[str, int] = {}
    computed = 0
    for number, file in enumerate(files):
        try:
            digest = file_digest(file)
        except OSError:
            digests.append("")
            skipped["unreadable"] = skipped.get("unreadable", 0) + 1
            progress(number + 1, len(files))
            continue
        digests.append(digest)
        try:
            key = hashlib.sha256(f"clip {VERSION} {encoder.id} {digest}".encode()).hexdigest()
            row = cache.get([key]).get(key)
            if row is None:
                row = packed(encoder, embed_file(encoder, file).to_pylist())
                cache.put({key: row})
                computed += 1
            rows[number] = row
        except InputError as error:
            skipped[error.code] = skipped.get(error.code, 0) + 1
        progress(number + 1, len(files))
    return Files(rows[:, : encoder.audio_size], rows[:, encoder.audio_size :], digests, skipped, computed)


def packed(encoder: Encoder, windows: list[dict[str, Any]]) -> np.ndarray:
    parts = []
    for stream, size in (("audio", encoder.audio_size), ("video", encoder.video_size)):
        own = [window["embedding"] for window in windows if window["stream"] == stream]
        parts.append(np.mean(own, axis=0, dtype=np.float64) if own else np.full(size, np.nan))
    return np.concatenate(parts).astype(np.float32)


def features(files: Files, streams: str) -> tuple[np.ndarray, np.ndarray]:
    """Inputs of a probe and which files have them.

    Args:
        files: From :func:`embed_clips`.
        streams: ``audio``, ``video``, or ``both``: joined, each of length 1, zeros for the one that a file lacks.

    Raises:
        CounterdubError: ``no_tower`` if the encoder has no tower for it.
    """
    wanted = {"audio": [files.audio], "video": [files.video], "both": [files.audio, files.video]}[streams]
    if not all(part.shape[1] for part in wanted):
        raise CounterdubError(f"The encoder has no tower for {streams}.", code="no_tower")
    there = [np.isfinite(part).all(1) for part in wanted]
    if streams != "both":
        return wanted[0], there[0]
    scaled = []
    for part, has in zip(wanted, there, strict=True):
        whole = np.where(has[:, None], part, 0)
        scaled.append(whole / np.maximum(np.linalg.norm(whole, axis=1, keepdims=True), 1e-12))
    return np.concatenate(scaled, axis=1).astype(np.float32), there[0] | there[1]
