"""Commands that need more than the smallest installation say what is missing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from services.cli.terminal.output import reported
from shared.core.errors import EngineError


@contextmanager
def with_extra(extra: str, as_json: bool) -> Iterator[None]:
    """As :func:`services.cli.terminal.output.reported`; a package that is not installed is an error like others.

    Args:
        extra: What to install, as in ``counterdub[serve]``.
    """
    with reported(as_json):
        try:
            yield
        except ModuleNotFoundError as error:
            name = (error.name or "").partition(".")[0]
            if name in ("", "services", "shared"):
                raise
            raise EngineError(
                f"This command needs the package “{name}”, which is not installed. "
                f"Install it with: pip install 'counterdub[{extra}]'",
                code="package_missing",
                package=name,
            ) from error
