"""API keys: who asks, and what for.

A key is 256 random bits that its owner sees once; the database has their hash. Guessing is hopeless, so a plain fast
hash does, and nothing has to slow wrong keys down.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import re
import secrets
import socket
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Annotated
from urllib.parse import urlsplit

from fastapi import Depends
from fastapi.security import APIKeyHeader, HTTPAuthorizationCredentials, HTTPBearer
from sqlalchemy import select, update
from starlette.requests import Request

from services.api.dependencies import Here
from services.api.http.problems import Refused
from shared.core.errors import UsageError
from shared.ledger.database import Database
from shared.ledger.tables import ApiKey, now

PREFIX = "cdk_"
FORM = re.compile(r"cdk_[A-Za-z0-9_-]{43}")
SCOPES = ("jobs:read", "jobs:write", "admin")
"""``admin`` includes the others and sees the jobs of all keys."""

SAFE_METHODS = ("GET", "HEAD", "OPTIONS")
COOKIE = "counterdub_key"
"""Carries a browser's API key (``/v1/session``)."""


@dataclass(frozen=True)
class Limits:
    """Quotas of a key; None is the service's default."""

    max_bytes: int | None = None
    max_minutes: float | None = None
    max_open_jobs: int | None = None


@dataclass(frozen=True)
class Caller:
    """Who asks. Without keys (loopback only) everybody is the same caller, ``key_id`` None, who may do everything."""

    key_id: str | None
    scopes: frozenset[str]
    max_bytes: int | None = None
    max_minutes: float | None = None
    max_open_jobs: int | None = None

    @property
    def sees_all(self) -> bool:
        """Whether other callers' jobs and uploads are theirs too."""
        return self.key_id is None or "admin" in self.scopes

    def owns(self, key_id: str | None) -> bool:
        """Whether what was made with this API key is the caller's, or to be seen by the caller."""
        return self.sees_all or key_id == self.key_id

    def may(self, scope: str) -> bool:
        return scope in self.scopes or "admin" in self.scopes


ANYBODY = Caller(None, frozenset(SCOPES))


def hashed(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


def create_key(database: Database, name: str, scopes: Iterable[str], limits: Limits | None = None) -> tuple[str, str]:
    """Make a key; returns its id and the secret, which cannot be had again.

    Raises:
        UsageError: ``unknown_scope``.
    """
    wanted = sorted(set(scopes))
    if not wanted or not set(wanted) <= set(SCOPES):
        raise UsageError(f"Scopes are {', '.join(SCOPES)}: give at least one.", code="unknown_scope")
    secret = PREFIX + secrets.token_urlsafe(32)
    limits = limits or Limits()
    key = ApiKey(
        name=name,
        hash=hashed(secret),
        scopes=wanted,
        max_bytes=limits.max_bytes,
        max_minutes=limits.max_minutes,
        max_open_jobs=limits.max_open_jobs,
    )
    with database.write() as session:
        session.add(key)
    return key.id, secret


def revoke_key(database: Database, key_id: str) -> None:
    """From now on the key is refused; its jobs stay.

    Raises:
        UsageError: ``unknown_key``.
    """
    with database.write() as session:
        if session.get(ApiKey, key_id) is None:
            raise UsageError("There is no API key with this id.", code="unknown_key")
        session.execute(update(ApiKey).where(ApiKey.id == key_id, ApiKey.revoked.is_(None)).values(revoked=now()))


def list_keys(database: Database) -> list[ApiKey]:
    """All keys, revoked ones too, oldest first. Show anything of them but ``hash``."""
    with database.read() as session:
        return list(session.scalars(select(ApiKey).order_by(ApiKey.created, ApiKey.id)))


def caller_of(database: Database, secret: str) -> Caller | None:
    """Whose key it is; None for a wrong or revoked one."""
    if FORM.fullmatch(secret) is None:
        return None
    wanted = hashed(secret)
    with database.read() as session:
        key = session.scalars(select(ApiKey).where(ApiKey.hash == wanted)).first()
    if key is None or key.revoked is not None or not hmac.compare_digest(key.hash, wanted):
        return None
    return Caller(key.id, frozenset(key.scopes), key.max_bytes, key.max_minutes, key.max_open_jobs)


def is_valid(database: Database, caller: Caller) -> bool:
    """Whether a caller's key still is one: what goes on for long asks again."""
    if caller.key_id is None:
        return True
    with database.read() as session:
        key = session.get(ApiKey, caller.key_id)
    return key is not None and key.revoked is None


_bearer = HTTPBearer(auto_error=False, description="An API key: `cdk_…`.")
_header = APIKeyHeader(name="X-API-Key", auto_error=False, description="An API key: `cdk_…`.")


def authenticated(
    request: Request,
    here: Here,
    bearer: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)],
    header: Annotated[str | None, Depends(_header)],
) -> Caller:
    """The dependency that says who asks.

    Raises:
        Refused: ``unauthenticated`` (401); ``forbidden`` (403) for a strange website's request where no key is needed.
    """
    secret = bearer.credentials if bearer else header
    if secret is None and not here.keys_required:
        refuse_websites(request)
        return ANYBODY
    if secret is None and (secret := request.cookies.get(COOKIE)):
        # A browser adds it by itself, so another website's form must not get anything done with it.
        refuse_websites(request, any_host=True)
    caller = caller_of(here.database, secret) if secret else None
    if caller is None:
        raise wrong_key()
    return caller


def wrong_key() -> Refused:
    return Refused(
        401,
        code="unauthenticated",
        message="Send a valid API key: “Authorization: Bearer cdk_…” or “X-API-Key: cdk_…”.",
        headers={"WWW-Authenticate": 'Bearer realm="counterdub"'},
    )


def requires(scope: str) -> Callable[..., Caller]:
    """A dependency like :func:`authenticated` that also asks for a scope.

    Raises:
        Refused: ``forbidden`` (403).
    """

    def allowed(caller: Annotated[Caller, Depends(authenticated)]) -> Caller:
        if not caller.may(scope):
            raise Refused(
                403,
                code="forbidden",
                message=f"This API key lacks the scope {scope}.",
                headers={"WWW-Authenticate": f'Bearer realm="counterdub", error="insufficient_scope", scope="{scope}"'},
            )
        return caller

    return allowed


Reader = Annotated[Caller, Depends(requires("jobs:read"))]
"""A caller who may look at jobs and trainings."""
Writer = Annotated[Caller, Depends(requires("jobs:write"))]
"""A caller who may make and change them."""


def refuse_websites(request: Request, *, any_host: bool = False) -> None:
    """Where no key is needed, a website that somebody on this machine looks at must not be able to ask either.

    A page of another origin may send forms here, and a name of its own may be made to lead to this machine (DNS
    rebinding): then the Host header has that name.

    Args:
        any_host: Serve any Host header: what the browser would send to a strange name has no cookie of ours.

    Raises:
        Refused: ``forbidden`` (403).
    """
    host = request.headers.get("host", "")
    origin = request.headers.get("origin")
    foreign = origin is not None and urlsplit(origin).netloc != host
    cross = request.headers.get("sec-fetch-site") == "cross-site" and request.method not in SAFE_METHODS
    if foreign or cross or not (any_host or is_ours(host)):
        raise Refused(403, code="forbidden", message="Requests of other websites are not served without an API key.")


def is_ours(host: str) -> bool:
    """Whether a Host header is an address, or a name that leads to this machine and to no other.

    A single word does not: a resolver may put a domain behind it that somebody owns.
    """
    try:
        name = urlsplit(f"//{host}").hostname or ""
        ipaddress.ip_address(name)
    except ValueError:
        return name.casefold() in ("localhost", socket.gethostname().casefold()) or name.endswith(".localhost")
    return True
