"""What ``counterdub inspect`` shows: the pipeline's view of a file, without doing any of the work."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from services.ingest.cutting import shots_between
from shared.engines import EngineOptions, engine_class
from shared.media.probing import origin, probe
from shared.settings import Settings
from shared.weights import WeightFolder


def inspect(path: Path, shots: bool = False, settings: Settings | None = None) -> dict[str, Any]:
    """Fields of :class:`~shared.records.Probe` and ``name``; with ``shots`` also the shots found.

    Raises:
        InputError: as :func:`shared.media.probing.probe`.
    """
    settings = settings or Settings()
    found = probe(path, settings.limits)
    facts = {"name": path.name, **found.model_dump()}
    if shots:
        options = EngineOptions(extra={"limits": settings.limits.model_dump()})
        detector = engine_class("shot_detector", settings.ingest.detector)(options, WeightFolder())
        cuts = detector.cuts(path, lambda _share: None)
        zero, end = origin(found), found.video.start + found.video.duration - origin(found)
        pieces = shots_between([cut - zero for cut in cuts], end, settings.ingest.min_shot_frames / found.video.fps)
        facts["shots"] = [piece.model_dump() for piece in pieces]
    return facts
