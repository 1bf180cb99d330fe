"""Embeddings of whole files: one, or many of which some may fail."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from shared.core.errors import CounterdubError, InputError
from shared.core.storage_errors import storage_errors
from shared.media import child
from trainer.embedding.ahead import ahead
from trainer.embedding.file_windows import Cut, windows
from trainer.embedding.rows import EmbeddingRow, FileEncoder, schema, table

SOUNDS = 64
"""Windows of sound embedded at a time."""

Listener = Callable[[int, int, str, CounterdubError | None], None]
"""Told of each file as it ends: how many have, of how many, its name, what was wrong with it."""


class EmbeddingSummary(NamedTuple):
    """What :func:`embed_files` did."""

    files: int
    """That have rows."""
    rows: int
    failed: list[dict[str, Any]]
    """For each file that has none: ``file``, ``code``, ``message``."""


def embed_file(encoder: FileEncoder, path: Path, *, crops: bool = False, heads: bool = False) -> pa.Table:
    """Rows of one file; see :meth:`trainer.encoder.Encoder.embed`."""
    cuts = windows(path, encoder.recipe, streams_of(encoder))
    return table(rows_of(encoder, str(path), cuts, crops=crops, heads=heads), schema(encoder, heads))


def embed_files(
    encoder: FileEncoder,
    paths: Sequence[Path],
    out: Path,
    *,
    crops: bool = False,
    heads: bool = False,
    jobs: int = 2,
    listener: Listener = lambda done, total, file, error: None,
) -> EmbeddingSummary:
    """Embed files into one Parquet file, in the order given; one that cannot be read does not stop the others.

    When stopped, ``out`` holds the files that were finished; when all fail, there is none.

    Args:
        encoder: Who embeds.
        paths: Sound files and videos.
        out: Parquet file to write; one that is there is replaced at the end.
        crops: A row for each of the five crops instead of their mean.
        heads: Projections instead of the towers' output.
        jobs: Files decoded at a time.
        listener: Told of each file.

    Raises:
        StorageError: ``disk_full``, ``not_writable``, ``io_error``.
    """
    columns = schema(encoder, heads)
    failed: list[dict[str, Any]] = []
    done = rows = 0
    temporary = out.with_name(f".{out.name}.tmp")

    def reader(path: Path, progress: child.Progress) -> Iterator[Cut]:
        return windows(path, encoder.recipe, streams_of(encoder), progress=progress)

    with storage_errors("the file of embeddings"):
        out.parent.mkdir(parents=True, exist_ok=True)
        try:
            with (
                closing(ahead([partial(reader, path) for path in paths], jobs)) as readers,
                pq.ParquetWriter(temporary, columns) as writer,
            ):
                for path, cuts in zip(paths, readers, strict=True):
                    problem = None
                    try:
                        embedded_rows = list(rows_of(encoder, str(path), cuts, crops=crops, heads=heads))
                    except InputError as error:
                        problem = error
                        failed.append({"file": str(path), "code": error.code, "message": error.message})
                    else:
                        writer.write_table(table(embedded_rows, columns))
                        done, rows = done + 1, rows + len(embedded_rows)
                    listener(done + len(failed), len(paths), str(path), problem)
        finally:
            if done:
                temporary.replace(out)
            temporary.unlink(missing_ok=True)
    return EmbeddingSummary(done, rows, failed)


def streams_of(encoder: FileEncoder) -> set[str]:
    """What the encoder has towers for."""
    return {stream for stream, size in (("audio", encoder.audio_size), ("video", encoder.video_size)) if size}


def rows_of(
    encoder: FileEncoder, file: str, cuts: Iterable[Cut], *, crops: bool, heads: bool
) -> Iterator[EmbeddingRow]:
    """Embed windows: sounds many at a time, a picture's five crops at a time."""
    waiting: list[Cut] = []
    for cut in cuts:
        if cut.stream == "audio":
            waiting.append(cut)
            if len(waiting) == SOUNDS:
                yield from of_sounds(encoder, file, waiting, heads)
                waiting = []
            continue
        yield from of_sounds(encoder, file, waiting, heads)
        waiting = []
        embeddings = encoder.video(cut.data, heads=heads)
        every = enumerate(embeddings) if crops else [(None, embeddings.mean(0))]
        for crop, embedding in every:
            yield EmbeddingRow(file, "video", cut.start, cut.end, crop, embedding)
    yield from of_sounds(encoder, file, waiting, heads)


def of_sounds(encoder: FileEncoder, file: str, cuts: Sequence[Cut], heads: bool) -> Iterator[EmbeddingRow]:
    if not cuts:
        return
    waves = np.zeros((len(cuts), max(len(cut.data) for cut in cuts)), np.float32)
    for wave, cut in zip(waves, cuts, strict=True):
        wave[: len(cut.data)] = cut.data
    for cut, embedding in zip(cuts, encoder.audio(waves, heads=heads), strict=True):
        yield EmbeddingRow(file, "audio", cut.start, cut.end, None, embedding)
