"""What the environment can set."""

from __future__ import annotations

import re

from shared.queue.service_settings import ServiceSettings
from tests.conftest import ROOT


def test_every_setting_is_documented() -> None:
    page = (ROOT / "docs" / "services.md").read_text(encoding="utf-8")
    documented = set(re.findall(r"^\| `([A-Z][A-Z_0-9]*)`", page, flags=re.MULTILINE))
    assert documented == {name.upper() for name in ServiceSettings.model_fields}
