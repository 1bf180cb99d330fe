"""One error type for the whole system.

Every failure that a user can meet is a :class:`CounterdubError`: a stable ``code`` for programs, the ``stage``
it happened in, whether trying again can help, and a message that says what to do.
"""

from __future__ import annotations

from typing import Any


class CounterdubError(Exception):
    """A failure with a stable code, the stage it happened in and a message the user can act on.

    Args:
        message: One or two sentences for a person: what is wrong and what to do about it.
        code: Stable, machine-readable, snake_case (``not_a_video``, ``disk_full``); documented in ``docs/errors.md``.
        stage: Name of the stage it happened in; filled in by the executor where the raiser does not know it.
        retryable: Whether the same work may succeed when tried again unchanged.
        details: Small JSON-able facts for programs. Never secrets, never a user's full paths.
    """

    def __init__(
        self,
        message: str,
        *,
        code: str,
        stage: str | None = None,
        retryable: bool = False,
        **details: Any,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.stage = stage
        self.retryable = retryable
        self.details = details

    def to_dict(self) -> dict[str, Any]:
        return {
            "code": self.code,
            "stage": self.stage,
            "retryable": self.retryable,
            "message": self.message,
            "details": self.details,
        }


class InputError(CounterdubError):
    """The submitted media or transcript cannot be used as it is."""


class UsageError(CounterdubError):
    """The request itself is wrong: unknown language, engine, setting or option (exit code 2)."""


class EngineError(CounterdubError):
    """A model or its weights could not be loaded or failed while running."""


class StorageError(CounterdubError):
    """Results cannot be written or read: disk full, folder not writable, locked by another run."""


class Cancelled(CounterdubError):
    """The work was stopped on request; finished parts stay in the store."""

    def __init__(self, message: str = "The run was cancelled.", *, stage: str | None = None) -> None:
        super().__init__(message, code="cancelled", stage=stage, retryable=True)
