"""What there is: engines, profiles and what must be agreed to before they run, languages, the caller's own figures."""

from __future__ import annotations

from functools import lru_cache
from importlib import resources
from itertools import product
from string import ascii_lowercase
from typing import TypeVarTuple

from fastapi import APIRouter
from pydantic import BaseModel, Field
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
from shared.pipeline.licences import engines, not_accepted, terms
from shared.settings.models import settings_from

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


class TermsOut(BaseModel):
    """An engine of a profile, and the licence of its weights."""

    kind: str
    engine: str
    licence: str
    commercial_use: bool
    note: str


class ProfileOut(BaseModel):
    name: str
    description: str
    terms: list[TermsOut] = Field(description="As far as the engines are installed here.")
    to_accept: list[str] = Field(
        description="Licences that forbid commercial use: name them in `settings.licences.accepted`."
    )
    unknown: list[str] = Field(description="Engines that are not registered here.")


@lru_cache
def known_profiles() -> tuple[ProfileOut, ...]:
    profiles = []
    for file in sorted((resources.files("shared") / "profiles").iterdir(), key=lambda file: file.name):
        name, dot, suffix = file.name.rpartition(".")
        if (dot, suffix) != (".", "toml"):
            continue
        settings = settings_from(name, {})
        used = engines(settings)
        profiles.append(
            ProfileOut(
                name=name,
                description=described(file.read_text(encoding="utf-8")),
                terms=[
                    TermsOut(
                        kind=one.kind,
                        engine=one.engine,
                        licence=one.licence.name,
                        commercial_use=one.licence.commercial_use,
                        note=one.licence.note,
                    )
                    for one in terms(used)
                ],
                to_accept=sorted({one.licence.name for one in not_accepted(settings)}),
                unknown=sorted({engine for kind, engine in used if engine not in registered(kind)}),
            )
        )
    return tuple(sorted(profiles, key=lambda profile: profile.name != "cpu"))


def described(text: str) -> str:
    """The comment that a profile begins with."""
    lines = []
    for line in text.splitlines():
        if not line.startswith("#"):
            break
        lines.append(line.removeprefix("#").strip())
    return " ".join(lines)


@router.get("/profiles", operation_id="list_profiles", summary="Sets of engines", responses=documented(401, 403))
def list_profiles(caller: Reader) -> list[ProfileOut]:
    """Name one as a job's `profile`."""
    return list(known_profiles())
