"""Who speaks for whom in a title, and how that sounds beside the people themselves."""

from __future__ import annotations

import json
from typing import Annotated

from fastapi import APIRouter, Path, Query, Request
from pydantic import TypeAdapter
from sqlalchemy.orm import Session
from starlette.responses import Response

from services.api.auth.keys import Reader, Writer
from services.api.auth.ownership import JobId, artifact, one_title, own_job
from services.api.auth.quotas import check_reopened
from services.api.dependencies import Here
from services.api.http.problems import documented, not_found
from services.api.http.stored_files import local_copy, read_file
from services.api.routes.artifacts import USUAL, Code, LineId, TitleName, read_title, source_language
from services.api.routes.jobs import current
from services.api.routes.sound import (
    WHOLE_SOUND,
    PieceFormat,
    path_of,
    send_unless_known,
    sound_file,
    source_of,
)
from services.api.schemas.jobs import JobOut
from shared.core.records import AuditionPiece
from shared.core.voices import CastVoice, speaker_voices
from shared.ledger.tables import Artifact
from shared.media.listening import audition_reel, line_sound
from shared.media.sound_formats import ENCODINGS, SoundFormat, encode
from shared.queue import job_commands
from shared.schemas import layout
from shared.schemas.digital_source import COMPOSITE, mark

MAX_SECONDS = 60.0
PIECES = TypeAdapter(list[AuditionPiece])

router = APIRouter(prefix="/jobs/{job_id}", tags=["results"])

SpeakerId = Annotated[str, Path(max_length=16, pattern=r"^[A-Za-z0-9_-]+$", examples=["S1"])]


@router.get("/voices", operation_id="list_voices", summary="Who speaks for whom", responses=documented(*USUAL))
def list_voices(here: Here, caller: Reader, job_id: JobId, title: TitleName = None) -> list[CastVoice]:
    """Of every speaker of a title, in every language that it was dubbed into."""
    with here.database.read() as session:
        job = own_job(session, caller, job_id)
        name = one_title(session, job, title).name
        record = read_title(here.store, artifact(session, job, layout.posix(name, "title.json")))
        source = source_language(record)
        cast = record.get("cast") or {}
        files = {
            language: (
                session.get(Artifact, (job.id, layout.utterances_path(name, language, source))),
                session.get(Artifact, (job.id, layout.audition_path(name, language, "json"))),
            )
            for language in cast
        }
    rows = []
    for language, (spoken, heard) in files.items():
        lines = [json.loads(line) for line in read_file(here.store, spoken).splitlines()] if spoken else []
        pieces = PIECES.validate_json(read_file(here.store, heard)) if heard else []
        rows += speaker_voices(name, language, cast[language] or [], lines, pieces)
    return rows


@router.post(
    "/auditions",
    operation_id="audition_voices",
    summary="Let the voices and the next best ones speak",
    status_code=202,
    responses=documented(401, 403, 404, 409, 429, 503),
)
def audition_voices(here: Here, caller: Writer, job_id: JobId) -> JobOut:
    """The job must have ended. It runs again for the auditions alone; tracks and rows stay as they are."""

    def check_quota(session: Session) -> None:
        check_reopened(session, caller, here.settings)

    current(here, caller, job_id)
    here.wake(job_commands.audition_job(here.database, here.store, job_id, within=check_quota))
    return current(here, caller, job_id)


@router.get(
    "/voices/{language}/{speaker}/audition",
    operation_id="get_audition",
    summary="A speaker, the chosen voice and the next best ones, one after another",
    response_class=Response,
    responses=WHOLE_SOUND,
)
def get_audition(
    request: Request,
    here: Here,
    caller: Reader,
    job_id: JobId,
    language: Code,
    speaker: SpeakerId,
    title: TitleName = None,
    format: Annotated[SoundFormat, Query(description="MP3 plays everywhere.")] = "mp3",
) -> Response:
    """404 until `audition_voices` (or a job with `auditions.wanted`) has made it."""
    with here.database.read() as session:
        job = own_job(session, caller, job_id)
        name = one_title(session, job, title).name
        index = artifact(session, job, layout.audition_path(name, language, "json"))
        sound = artifact(session, job, layout.audition_path(name, language, "flac"))

    def make() -> Response:
        pieces = PIECES.validate_json(read_file(here.store, index))
        reel = audition_reel(local_copy(here.store, sound), pieces, speaker)
        if not reel.size:
            raise not_found(f"There is no audition of “{speaker}” in “{language}”.")
        tags = {"title": f"{name}: {speaker} in {language}", **mark(COMPOSITE, (language,))}
        return Response(encode(reel, format, tags), media_type=ENCODINGS[format].media_type)

    return send_unless_known(request, [index, sound], ("audition", speaker, format), make)


@router.get(
    "/utterances/{language}/{utterance}/sound",
    operation_id="get_line_sound",
    summary="One line as it is heard on its track",
    response_class=Response,
    responses=WHOLE_SOUND,
)
def get_line_sound(
    request: Request,
    here: Here,
    caller: Reader,
    job_id: JobId,
    language: Code,
    utterance: LineId,
    title: TitleName = None,
    alone: Annotated[bool, Query(description="The speech without the background.")] = False,
    format: Annotated[PieceFormat, Query(description="FLAC: 16 bit.")] = "mp3",
) -> Response:
    """A quarter of a second before it to a quarter after it. `orig` is the original."""
    with here.database.read() as session:
        job = own_job(session, caller, job_id)
        name = one_title(session, job, title).name
        record = read_title(here.store, artifact(session, job, layout.posix(name, "title.json")))
        lines = artifact(session, job, layout.utterances_path(name, language, source_language(record)))
        sound = ("vocals" if language == layout.ORIG else f"speech.{language}") if alone else language
        file = artifact(session, job, path_of(name, sound))
    rows = (json.loads(line) for line in read_file(here.store, lines).splitlines())
    line = next((row for row in rows if row["id"] == utterance), None)
    if line is None or line["end"] <= line["start"]:
        raise not_found(f"Nothing is heard of “{utterance}” in “{language}”.")
    start, end = line["start"], min(line["end"], line["start"] + MAX_SECONDS)

    def make() -> Response:
        tags = {"title": f"{name}: {utterance} in {language}", **mark(source_of(sound), (language,))}
        return sound_file(line_sound(local_copy(here.store, file), start, end), format, tags)

    return send_unless_known(request, [lines, file], ("line", utterance, format), make)
