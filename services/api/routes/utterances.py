"""Another text for one line: the line is spoken again, and what depends on it is made anew."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path
from sqlalchemy.orm import Session

from services.api.auth.keys import Caller, Writer
from services.api.auth.ownership import JobId, own_job
from services.api.auth.quotas import check_reopened
from services.api.dependencies import Here, Services
from services.api.http.problems import documented
from services.api.routes.artifacts import Code, LineId
from services.api.routes.jobs import current
from services.api.routes.versions import line_as_spoken
from services.api.schemas.jobs import JobOut, NewText
from shared.core import languages as codes
from shared.core.edits import LineAddress
from shared.queue import job_commands

router = APIRouter(tags=["results"])

USUAL = (401, 403, 404, 409, 422, 429, 503)


@router.patch(
    "/jobs/{job_id}/utterances/{language}/{utterance}",
    operation_id="edit_utterance",
    summary="Give a line another text",
    status_code=202,
    responses=documented(*USUAL),
)
def edit_utterance(
    here: Here, caller: Writer, job_id: JobId, language: Code, utterance: LineId, new: NewText
) -> JobOut:
    """The job must have ended. It runs again for this line; its events go on."""
    return edit(here, caller, job_id, LineAddress(new.title, codes.code(language), utterance), new.text)


@router.patch(
    "/utterances/{id}",
    operation_id="edit_line",
    summary="Give a line another text, by its one id",
    status_code=202,
    responses=documented(*USUAL),
)
def edit_line(
    here: Here,
    caller: Writer,
    id: Annotated[
        str,
        Path(
            max_length=300,
            pattern=r"^job_[0-9a-f]{32}\.[^\x00/]+\.[A-Za-z0-9_-]{1,40}\.[A-Za-z0-9_-]{1,16}$",
            description="`href` of a line: job, title, language and utterance with dots between.",
            examples=[f"job_{'0' * 32}.clip.es.u0001"],
        ),
    ],
    new: NewText,
) -> JobOut:
    """As `edit_utterance`; the title is part of the id."""
    job_id, _, rest = id.partition(".")
    title, language, utterance = rest.rsplit(".", 2)
    return edit(here, caller, job_id, LineAddress(title, codes.code(language), utterance), new.text)


def edit(here: Services, caller: Caller, job_id: str, line: LineAddress, text: str) -> JobOut:
    """Give a line of a caller's job another text; its event keeps what the line was."""
    with here.database.read() as session:
        old = line_as_spoken(here, session, own_job(session, caller, job_id), line)

    def check_quota(session: Session) -> None:
        check_reopened(session, caller, here.settings)

    here.wake(job_commands.edit_line(here.database, here.store, job_id, line, text, before=old, within=check_quota))
    return current(here, caller, job_id)
