"""The stage ``fetch``: a video named by URL or path becomes a stored file. Only the services plan it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from services.ingest.video_download import fetch
from shared.pipeline.stage import Scope, Stage, Work
from shared.queue.service_settings import FETCH, service_settings
from shared.settings.models import LimitSettings


def run(
    scope: Scope, inputs: Mapping[str, Path], settings: LimitSettings, engines: Mapping[str, Any], work: Work
) -> dict[str, Path]:
    """Outputs ``video``.

    The scope's ``extra`` names kind, locator and title: each title fetches for itself, since what a URL leads to may
    change and may not be everybody's.
    """
    path = work.path("video")

    def progress(received: int, expected: int | None) -> None:
        work.progress(received / expected if expected else 0.0)

    fetch(scope.extra["locator"], scope.extra["kind"], path, service_settings(), settings, progress)
    return {"video": path}


STAGE = Stage(
    name=FETCH,
    version=1,
    run=run,
    settings=lambda settings: settings.limits,
    engines=lambda settings, scope: {},
    queue=FETCH,
)
