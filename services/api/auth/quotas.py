"""What a caller may use: open jobs, bytes, minutes of sound."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from services.api.auth.keys import Caller
from services.api.http.problems import Refused
from shared.ledger.tables import ApiKey, Job, Upload, Usage, now
from shared.queue.service_settings import ServiceSettings
from shared.settings.models import Settings

OPEN = ("running", "cancelling")


def check_new_job(session: Session, caller: Caller, settings: ServiceSettings) -> None:
    """Whether the caller may ask for another job now.

    In the transaction that makes the job, two requests at once cannot both take the last place: the key's row is
    locked (SQLite has one writer anyway).

    Raises:
        Refused: ``quota_jobs`` or ``quota_minutes`` (429).
    """
    check_open(session, caller, settings, OPEN)
    if caller.max_minutes is not None and minutes_used(session, caller.key_id) >= caller.max_minutes:
        raise Refused(
            429,
            code="quota_minutes",
            message=f"The {caller.max_minutes:g} minutes of sound of this API key are used up.",
            limit=caller.max_minutes,
        )


def check_reopened(session: Session, caller: Caller, settings: ServiceSettings) -> None:
    """Whether an ended job may be opened again: it counts as an open one. Its minutes are counted already.

    Raises:
        Refused: ``quota_jobs`` (429).
    """
    check_open(session, caller, settings, OPEN)


def check_new_training(session: Session, caller: Caller, settings: ServiceSettings, *, waits: bool) -> None:
    """Whether the caller may begin another training: it counts as an open job. As many may wait for pairs besides.

    Raises:
        Refused: ``quota_jobs`` (429).
    """
    check_open(session, caller, settings, ("waiting",) if waits else OPEN)


def check_open(session: Session, caller: Caller, settings: ServiceSettings, states: Sequence[str]) -> None:
    if caller.key_id is not None:
        session.execute(select(ApiKey.id).where(ApiKey.id == caller.key_id).with_for_update())
    most = settings.max_open_jobs if caller.max_open_jobs is None else caller.max_open_jobs
    there = select(func.count()).select_from(Job).where(Job.key_id == caller.key_id, Job.state.in_(states))
    if (session.scalar(there) or 0) >= most:
        raise Refused(
            429,
            code="quota_jobs",
            message=f"You have {most} {states[0]} jobs and trainings, which is your limit.",
            retryable=True,
            limit=most,
        )


def minutes_used(session: Session, key_id: str | None) -> float:
    """Minutes of sound in all of the key's jobs, deleted ones too, as far as they have been looked at."""
    wanted = select(func.sum(Usage.seconds)).where(Usage.key_id == key_id)
    return float(session.scalar(wanted) or 0.0) / 60


def check_bytes(caller: Caller, size: int) -> None:
    """Whether the caller may send so much at once.

    Raises:
        Refused: ``quota_bytes`` (413).
    """
    if caller.max_bytes is not None and size > caller.max_bytes:
        raise too_many_bytes(caller.max_bytes)


def check_upload(session: Session, caller: Caller, size: int) -> None:
    """:func:`check_bytes`, with the caller's unfinished uploads: their announced bytes are bytes too.

    Raises:
        Refused: ``quota_bytes`` (413).
    """
    check_bytes(caller, size)
    if caller.max_bytes is not None and caller.key_id is not None:
        session.execute(select(ApiKey.id).where(ApiKey.id == caller.key_id).with_for_update())
        unfinished = Upload.key_id == caller.key_id, Upload.blob.is_(None), Upload.expires > now()
        waiting = session.scalar(select(func.coalesce(func.sum(Upload.size), 0)).where(*unfinished)) or 0
        check_bytes(caller, int(waiting) + size)


def awaited(session: Session) -> int:
    """Bytes that were announced by all callers and have not come: they need their room too."""
    unfinished = Upload.blob.is_(None), Upload.expires > now()
    return int(session.scalar(select(func.coalesce(func.sum(Upload.size - Upload.offset), 0)).where(*unfinished)) or 0)


def bounded(settings: Settings, caller: Caller) -> Settings:
    """The settings of a caller's job: what is fetched for it is no larger than what the caller may send."""
    if caller.max_bytes is None or settings.limits.max_bytes <= caller.max_bytes:
        return settings
    limits = settings.limits.model_copy(update={"max_bytes": caller.max_bytes})
    return settings.model_copy(update={"limits": limits})


def too_many_bytes(limit: int) -> Refused:
    message = f"Your API key allows {limit:,} bytes at once, unfinished uploads included."
    return Refused(413, code="quota_bytes", message=message, limit=limit)
