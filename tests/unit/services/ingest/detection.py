"""Where shots begin by our detectors, as the pipeline has them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from services.ingest.segmentation import shortest_shot, shots_between
from shared.engines.protocols import EngineOptions, engine_class
from shared.settings.models import Settings
from tests.unit.shared.media.transitions import FPS


def shot_begins(path: Path, detector: str, weights: Any, fps: int = FPS) -> list[float]:
    """Frame numbers, flashes merged; the first shot left out."""
    cuts = engine_class("shot_detector", detector)(EngineOptions(), weights).cuts(path, lambda share: None)
    shots = shots_between(cuts, float("inf"), shortest_shot(Settings().ingest.min_shot_frames, fps))
    return [shot.start * fps for shot in shots[1:]]
