"""Fixtures of the pairing tests; the made-up title is in ``title``."""

from __future__ import annotations

import pytest

from tests.unit.services.pairing.title import Title, finish_tracks, make_title


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Title:
    """A title whose tracks are made. Tests copy what they change."""
    return finish_tracks(make_title(tmp_path_factory.mktemp("title")))
