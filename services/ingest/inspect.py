"""What ``counterdub inspect`` shows: the pipeline's view of a file, without doing any of the work."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from services.ingest.segmentation import shortest_shot, shots_between
from shared.core import languages
from shared.core.records import Probe, Shot
from shared.engines.protocols import EngineOptions, engine_class
from shared.media.probing import Wanted, origin, probe
from shared.settings.models import Settings
from shared.weights import WeightFolder


def inspect(path: Path, shots: bool = False, settings: Settings | None = None) -> dict[str, Any]:
    """Fields of :class:`~shared.core.records.Probe` and ``name``; with ``shots`` also the shots found.

    Raises:
        InputError: as :func:`shared.media.probing.probe`.
    """
    settings = settings or Settings()
    language = settings.transcription.language
    wanted = Wanted(
        languages.code(language) if language else None, settings.ingest.video_stream, settings.ingest.audio_stream
    )
    media = probe(path, settings.limits, wanted=wanted)
    facts = {"name": path.name, **media.model_dump()}
    if shots:
        facts["shots"] = [piece.model_dump() for piece in shots_in(path, media, settings)]
    return facts


def shots_in(path: Path, media: Probe, settings: Settings) -> list[Shot]:
    """Shots that the configured detector finds, on the title's clock."""
    streams = {"video_stream": media.video.index, "audio_stream": media.audio.index if media.audio else None}
    options = EngineOptions(extra={"limits": settings.limits.model_dump(), "streams": streams})
    detector = engine_class("shot_detector", settings.ingest.detector)(options, WeightFolder())
    cuts = detector.cuts(path, lambda _share: None)
    zero, end = origin(media), media.video.start + media.video.duration - origin(media)
    return shots_between(
        [cut - zero for cut in cuts], end, shortest_shot(settings.ingest.min_shot_frames, media.video.fps)
    )


def shots_of(path: Path, media: Probe) -> list[tuple[float, float]]:
    """Start and end of the shots that the default detector finds, seconds from the start of the picture."""
    late = media.video.start - origin(media)
    return [(max(0.0, shot.start - late), shot.end - late) for shot in shots_in(path, media, Settings())]
