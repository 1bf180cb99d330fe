"""Counterdub for notebooks and scripts.

>>> import counterdub
>>> counterdub.dub(["film.mp4"], ["es", "fr"], "out")
>>> for row in counterdub.open_pairs("out"): ...
>>> counterdub.redub("out", "u0003", "es", "Gracias por venir.")
>>> counterdub.load_encoder("run").embed("film.mp4")
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from shared.pipeline.run import RunSummary
    from trainer.encoder import Encoder

__all__ = ["dub", "load_encoder", "open_pairs", "redub"]


def dub(
    paths: str | PathLike[str] | Sequence[str | PathLike[str]],
    languages: Sequence[str],
    out: str | PathLike[str],
    *,
    profile: str = "cpu",
    transcript: str | PathLike[str] | None = None,
    translations: Mapping[str, str | PathLike[str]] | None = None,
    subtitles: str | None = None,
    jobs: int = 2,
    **settings: Any,
) -> RunSummary:
    """Dub videos and lay the pairs out below ``out``.

    Args:
        paths: A video, or videos, folders and globs.
        languages: Target languages, ISO 639-1.
        out: Output folder; running again goes on from what is there.
        transcript: What is said, of one video: SRT, VTT, ASS or JSON.
        translations: Language → file with the translation of one video, spoken word for word (docs/translations.md).
        subtitles: ``"embedded"`` takes both from the videos' own streams, ``"none"`` takes that back.
        settings: Sections of the settings as dicts, such as ``dubbing={"seed": 3}``.

    Returns:
        What was done; rows are read with :func:`open_pairs`.

    Raises:
        shared.core.errors.CounterdubError: With a code and a message; what was finished is kept.
    """
    from shared.pipeline import folder_commands
    from shared.pipeline.run import RunOptions
    from shared.settings.models import settings_from
    from shared.transcripts.given_texts import GivenTexts

    names = [paths] if isinstance(paths, str | PathLike) else list(paths)
    chosen = settings_from(profile, settings)
    given = GivenTexts(
        Path(transcript) if transcript else None,
        {language: Path(file) for language, file in (translations or {}).items()},
        subtitles,
    )
    sources = [str(name) for name in names]
    return folder_commands.dub(sources, languages, Path(out), chosen, given=given, options=RunOptions(jobs))


def redub(
    out: str | PathLike[str], utterance: str, language: str, text: str, *, title: str | None = None, jobs: int = 2
) -> RunSummary:
    """Give one line another text and redo what depends on it, nothing else.

    Args:
        out: Output folder of an earlier run.
        utterance: Id of the line, as in ``utterances/`` and the report: ``u0003``.
        language: Of the new text, ISO 639-1.
        title: Which, where the folder holds several.

    Returns:
        What was done: ``computed_tasks`` beside ``cached_tasks``, which were found.

    Raises:
        shared.core.errors.CounterdubError: With a code and a message; the folder is as it was.
    """
    from shared.pipeline import folder_commands
    from shared.pipeline.run import RunOptions

    return folder_commands.redub(Path(out), utterance, language, text, title=title, options=RunOptions(jobs))


def open_pairs(out: str | PathLike[str], *, rejects: bool = False) -> list[dict[str, Any]]:
    """Rows of ``pairs.parquet`` (or ``rejects.parquet``) as dicts; columns in ``docs/output.md``."""
    import pyarrow.parquet as pq

    table = pq.read_table(Path(out) / ("rejects.parquet" if rejects else "pairs.parquet"))
    rows: list[dict[str, Any]] = table.to_pylist()
    return rows


def load_encoder(checkpoint: str | PathLike[str], device: str = "cpu") -> Encoder:
    """An encoder that ``counterdub train`` made: a checkpoint, or the folder of a run; or a published MViT one.

    Raises:
        shared.core.errors.CounterdubError: ``no_checkpoint``, ``not_a_checkpoint``,
            ``checkpoint_damaged``, ``no_device``.
    """
    from trainer.encoder import load_encoder as load

    return load(checkpoint, device)
