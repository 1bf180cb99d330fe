"""``/v1/profiles``: sets of engines by name, and what must be agreed to before they run."""

from __future__ import annotations

from functools import lru_cache
from importlib import resources

from fastapi import APIRouter
from pydantic import BaseModel, Field

from services.api.auth.keys import Reader
from services.api.http.problems import documented
from shared.engines.protocols import registered
from shared.pipeline.licences import engines, not_accepted, terms
from shared.settings.models import settings_from

router = APIRouter(tags=["catalog"])


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
