"""Fetching as the task does it, and what is said where it is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from services.ingest.video_download import fetch
from shared.core.errors import CounterdubError
from shared.queue.service_settings import ServiceSettings
from shared.settings.models import LimitSettings

VIDEO = bytes(range(256)) * 5000


def settings(folder: Path, **more: Any) -> ServiceSettings:
    return ServiceSettings(data=folder, **{"private_hosts": ["127.0.0.1"], **more})


def fetched(folder: Path, locator: str, kind: str = "url", limits: LimitSettings | None = None, **more: Any) -> bytes:
    into = folder / "fetched"
    into.unlink(missing_ok=True)
    fetch(locator, kind, into, settings(folder, **more), limits or LimitSettings(), lambda _here, _of: None)
    return into.read_bytes()


def refused(folder: Path, locator: str, kind: str = "url", **more: Any) -> CounterdubError:
    with pytest.raises(CounterdubError) as caught:
        fetched(folder, locator, kind, **more)
    return caught.value


SECRETS = ("password", "secret-token", "user:")
