"""What there is: engines, languages, and the caller's own figures."""

from __future__ import annotations

from functools import lru_cache
from itertools import product
from string import ascii_lowercase
from typing import TypeVarTuple

from fastapi import APIRouter
from sqlalchemy import Select, func, select

from services.api.auth.keys import Reader
from services.api.auth.ownership import callers_jobs
from services.api.dependencies import Here
from services.api.http.problems import documented
from services.api.schemas.jobs import EngineOut, LanguageOut, Stats
from shared.core import languages
from shared.core.errors import CounterdubError
from shared.engines.protocols import KINDS, engine_class, registered
from shared.ledger.tables import Job, StageRun, Title

router = APIRouter(tags=["catalog"])

Columns = TypeVarTuple("Columns")


@lru_cache
def known_engines() -> tuple[EngineOut, ...]:
    """Every registered engine; what cannot be imported here (its worker has it) is listed by name."""
    engines = []
    for kind in KINDS:
        for name in sorted(registered(kind)):
            try:
                licence = engine_class(kind, name).licence
            except CounterdubError:
                engines.append(EngineOut(kind=kind, name=name))
                continue
            terms = {"licence": licence.name, "commercial_use": licence.commercial_use, "note": licence.note or None}
            engines.append(EngineOut(kind=kind, name=name, **terms))
    return tuple(engines)


@lru_cache
def known_languages() -> tuple[LanguageOut, ...]:
    """All languages of ISO 639-1."""
    spoken = []
    for code in map("".join, product(ascii_lowercase, repeat=2)):
        try:
            if languages.code(code) == code:
                name = languages.name(code)
                spoken.append(LanguageOut(code=code, name=name, native_name=languages.native_name(code)))
        except CounterdubError:
            continue
    return tuple(spoken)


@router.get("/engines", operation_id="list_engines", summary="Models behind the stages", responses=documented(401, 403))
def list_engines(caller: Reader) -> list[EngineOut]:
    """Choose one in a job's settings: `{"separation": {"engine": "…"}}`."""
    return list(known_engines())


@router.get("/languages", operation_id="list_languages", summary="Language codes", responses=documented(401, 403))
def list_languages(caller: Reader) -> list[LanguageOut]:
    """What a job may ask for. Whether it can be spoken depends on the engines."""
    return list(known_languages())


@router.get(
    "/stats", operation_id="get_stats", summary="Figures of the caller's jobs", responses=documented(401, 403, 503)
)
def get_stats(here: Here, caller: Reader) -> Stats:
    """Counted when asked."""

    def own(query: Select[*Columns]) -> Select[*Columns]:
        return callers_jobs(query.where(Job.kind == "job"), caller)

    titles = select(Title.state, func.count()).join(Job, Job.id == Title.job_id).group_by(Title.state)
    tasks = select(StageRun.state, func.count()).join(Job, Job.id == StageRun.job_id).group_by(StageRun.state)
    seconds = select(StageRun.stage, func.sum(StageRun.engine_seconds)).join(Job, Job.id == StageRun.job_id)
    with here.database.read() as session:
        jobs = dict(session.execute(own(select(Job.state, func.count()).group_by(Job.state))).all())
        rows = dict.fromkeys(("accepted", "rejected"), 0)
        for name in rows:
            total = select(func.sum(Job.summary[name].as_integer())).where(Job.state == "done")
            rows[name] = session.scalar(own(total)) or 0
        return Stats(
            jobs=jobs,
            titles=dict(session.execute(own(titles)).all()),
            tasks=dict(session.execute(own(tasks)).all()),
            engine_seconds={
                stage: round(spent or 0, 3) for stage, spent in session.execute(own(seconds.group_by(StageRun.stage)))
            },
            pairs_accepted=rows["accepted"],
            pairs_rejected=rows["rejected"],
        )
