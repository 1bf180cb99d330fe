"""What a line was before it was given another text: kept, to be heard beside the new one or brought back."""

from __future__ import annotations

import json
from typing import Annotated, Any

from fastapi import APIRouter, Path, Request
from pydantic import BaseModel, Field
from sqlalchemy import select
from sqlalchemy.orm import Session
from starlette.responses import Response

from services.api.auth.keys import Reader
from services.api.auth.ownership import JobId, one_title, own_job
from services.api.dependencies import Here, Services
from services.api.http.problems import documented, not_found
from services.api.http.stored_files import read_file
from services.api.routes.artifacts import USUAL, Code, LineId, TitleName, read_title, source_language
from services.api.routes.sound import WHOLE_FLAC, Excerpt, send_excerpt
from shared.core.edits import LineAddress
from shared.core.store import Blob
from shared.ledger.tables import Artifact, Event, Job
from shared.schemas import layout

EDITED = "line_edited"
AROUND_S = 0.25
"""Heard before and after the line."""
MAX_SECONDS = 60.0

router = APIRouter(prefix="/jobs/{job_id}/utterances/{language}/{utterance}", tags=["results"])


class Version(BaseModel):
    """A line as it was until event `seq` changed it."""

    seq: int
    replaced: str = Field(description="When (UTC).")
    line: dict[str, Any] = Field(description="As in the list of lines: text, times, measures.")
    href: str = Field(description="How it sounded, with what is heard around it (FLAC).")


def line_as_spoken(here: Services, session: Session, job: Job, line: LineAddress) -> dict[str, Any] | None:
    """What an edit's event keeps of the line that it replaces; None if the line was never spoken."""
    name = one_title(session, job, line.title).name
    record = session.get(Artifact, (job.id, layout.posix(name, "title.json")))
    track = session.get(Artifact, (job.id, layout.track_path(name, line.language)))
    if record is None or track is None:
        return None
    source = source_language(read_title(here.store, record))
    utterances = session.get(Artifact, (job.id, layout.utterances_path(name, line.language, source)))
    for text in read_file(here.store, utterances).splitlines() if utterances else ():
        utterance = json.loads(text)
        if utterance["id"] == line.utterance:
            return {"line": utterance, "track": {"name": track.name, "sha256": track.sha256, "size": track.size}}
    return None


def events_of_edits(session: Session, job: Job, line: LineAddress) -> list[Event]:
    """The events that replaced a line, oldest first."""
    events = session.scalars(select(Event).where(Event.job_id == job.id, Event.kind == EDITED).order_by(Event.seq))
    return [event for event in events if event.data.get("before") and line._asdict().items() <= event.data.items()]


@router.get("/versions", operation_id="list_versions", summary="What a line was before", responses=documented(*USUAL))
def list_versions(
    here: Here, caller: Reader, job_id: JobId, language: Code, utterance: LineId, title: TitleName = None
) -> list[Version]:
    """Oldest first, without the present one."""
    with here.database.read() as session:
        job = own_job(session, caller, job_id)
        name = one_title(session, job, title).name
        edits = events_of_edits(session, job, LineAddress(name, language, utterance))
    base = f"/v1/jobs/{job_id}/utterances/{language}/{utterance}/versions"
    return [
        Version(
            seq=event.seq,
            replaced=event.at.isoformat(),
            line=event.data["before"]["line"],
            href=f"{base}/{event.seq}/sound",
        )
        for event in edits
    ]


@router.get(
    "/versions/{seq}/sound",
    operation_id="get_version_sound",
    summary="How a line sounded before (FLAC)",
    response_class=Response,
    responses=WHOLE_FLAC,
)
def get_version_sound(
    request: Request,
    here: Here,
    caller: Reader,
    job_id: JobId,
    language: Code,
    utterance: LineId,
    seq: Annotated[int, Path(ge=1, lt=2**31)],
) -> Response:
    """A quarter of a second before it to a quarter after it."""
    with here.database.read() as session:
        job = own_job(session, caller, job_id)
        event = session.get(Event, (job.id, seq))
        data = event.data if event and event.kind == EDITED else {}
    kept = data.get("before")
    if not kept or (data["language"], data["utterance"]) != (language, utterance):
        raise not_found("There is no such version of this line.")
    start = max(0.0, kept["line"]["start"] - AROUND_S)
    seconds = min(kept["line"]["end"] + AROUND_S - start, MAX_SECONDS)
    track = Blob(**kept["track"])
    return send_excerpt(request, here.store, track, Excerpt(start, seconds), "The line had no sound.")
