"""Completion of titles and jobs: what is left to do when the last task ends. Always called with the job locked."""

from __future__ import annotations

from typing import Any

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from shared.core.errors import CounterdubError
from shared.ledger.database import append_event
from shared.ledger.tables import FINAL, Delivery, Job, StageRun, Title, now

DELIVERY = "pairing"
"""Queue of what lays files out and makes the job's tables and report."""


def settle_title(session: Session, job: Job, title: Title) -> dict[str, int]:
    """Have a title laid out when nothing of it is left to do."""
    if job.state != "running" or title.state != "running" or title.open_runs or title.stale:
        return {}
    if not (title.plan_complete or title.error):
        return {}
    add_internal(session, job, "deliver", title=title)
    return {DELIVERY: 1}


def add_internal(session: Session, job: Job, stage: str, queue: str = DELIVERY, title: Title | None = None) -> None:
    """Enter a task that the planner does not name, ready, unless it is there."""
    name = title.name if title else ""
    there = select(StageRun.id).where(StageRun.job_id == job.id, StageRun.title == name, StageRun.task == stage)
    if session.scalar(there) is None:
        run = StageRun(job_id=job.id, title_id=title.id if title else None, title=name, task=stage, stage=stage)
        run.queue, run.state = queue, "ready"
        session.add(run)
        session.flush()
        job.runs += 1


def title_ended(session: Session, job: Job, title: Title) -> dict[str, int]:
    """A title has been laid out: done or failed. The last one calls for the job's tables and report."""
    title.state = "failed" if title.error else "done"
    job.titles_ended += 1
    job.titles_failed += title.state == "failed"
    append_event(session, job, f"title_{title.state}", title=title.name, error=title.error)
    return settle_job(session, job)


def settle_job(session: Session, job: Job) -> dict[str, int]:
    """Have the job's tables and report made when all its titles have ended."""
    if job.state != "running" or job.titles_ended < job.titles:
        return {}
    add_internal(session, job, "dataset")
    return {DELIVERY: 1}


def job_ended(session: Session, job: Job, state: str, **facts: Any) -> None:
    """The job's last event, and the message to its webhook."""
    job.state, job.finished = state, now()
    counts = {"titles": job.titles, "titles_failed": job.titles_failed} if job.titles else {}
    append_event(session, job, f"{job.kind}_{state}", **counts, **facts)
    if job.webhook_url:
        data = {"id": job.id, "state": state, "titles": job.titles, "titles_failed": job.titles_failed, **facts}
        body = {"type": f"job.{state}", "timestamp": job.finished.isoformat(), "data": data}
        session.add(Delivery(job_id=job.id, body=body))


def abandon(session: Session, job: Job, error: CounterdubError, run_id: int | None = None) -> None:
    """End a job that cannot be gone on with. Nothing is planned, read or validated for it: that is what failed.

    Args:
        run_id: The task that it came up with.
    """
    if job.state in FINAL:
        return
    open_runs = StageRun.job_id == job.id, StageRun.state.not_in(FINAL)
    if run_id is not None:
        broken = update(StageRun).where(StageRun.id == run_id, *open_runs)
        session.execute(broken.values(state="failed", owner=None, finished=now(), error=error.to_dict()))
    session.execute(update(StageRun).where(*open_runs).values(state="skipped", owner=None))
    lost: Any = session.execute(
        update(Title)
        .where(Title.job_id == job.id, Title.state == "running")
        .values(state="failed", error=error.to_dict(), open_runs=0, stale=False)
    )
    job.titles_ended += lost.rowcount
    job.titles_failed += lost.rowcount
    job.runs_ended = job.runs
    job_ended(session, job, "cancelled" if job.state == "cancelling" else "failed", error=error.to_dict())


def end_if_cancelled(session: Session, job: Job) -> None:
    """A job being cancelled has ended when nothing of it runs any more."""
    running = select(func.count()).where(StageRun.job_id == job.id, StageRun.state == "running")
    if job.state != "cancelling" or session.scalar(running):
        return
    open_titles = Title.job_id == job.id, Title.state == "running"
    dropped: Any = session.execute(update(Title).where(*open_titles).values(state="cancelled"))
    job.titles_ended += dropped.rowcount
    job_ended(session, job, "cancelled")
