"""What the environment can set."""

from __future__ import annotations

from shared.jobs.settings import ServiceSettings
from tests.conftest import ROOT


def test_every_setting_is_documented() -> None:
    page = (ROOT / "docs" / "services.md").read_text(encoding="utf-8")
    documented = {line.split("`")[1] for line in page.splitlines() if line.startswith("| `") and line[3].isupper()}
    assert documented == {name.upper() for name in ServiceSettings.model_fields}
