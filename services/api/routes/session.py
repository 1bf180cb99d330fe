"""``/v1/session``: a browser gives its API key once; from then on a cookie that no script can read carries it.

Players, pictures and event streams of a browser cannot send an Authorization header. What the cookie alone may ask for,
and from which pages, :func:`services.api.auth.keys.authenticated` decides.
"""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Request
from pydantic import BaseModel, Field
from starlette.responses import Response

from services.api.auth.keys import COOKIE, Caller, authenticated, caller_of, refuse_websites, wrong_key
from services.api.dependencies import Here
from services.api.http.problems import documented
from services.api.schemas.jobs import Strict

MAX_AGE_S = 30 * 86_400

router = APIRouter(tags=["service"])


class SessionOut(BaseModel):
    """Who the caller is."""

    keys_required: bool = Field(description="Whether requests need an API key here.")
    key: str | None = Field(None, description="Id of the caller's key; null where none is needed.")
    scopes: list[str]


class NewSession(Strict):
    key: str = Field(min_length=1, max_length=200, description="An API key: `cdk_…`.")


def describe_session(here: Here, caller: Caller) -> SessionOut:
    return SessionOut(keys_required=here.keys_required, key=caller.key_id, scopes=sorted(caller.scopes))


@router.get("/session", operation_id="get_session", summary="Who asks", responses=documented(401, 403, 503))
def get_session(here: Here, caller: Annotated[Caller, Depends(authenticated)]) -> SessionOut:
    """401 where a key is needed and none came."""
    return describe_session(here, caller)


@router.post(
    "/session",
    operation_id="begin_session",
    summary="Keep an API key in a cookie",
    responses=documented(401, 403, 422, 503),
)
def begin_session(request: Request, here: Here, new: NewSession, response: Response) -> SessionOut:
    """For browsers. The cookie is HttpOnly and SameSite=Strict, and goes to `/v1` only."""
    refuse_websites(request, any_host=True)
    caller = caller_of(here.database, new.key)
    if caller is None:
        raise wrong_key()
    response.set_cookie(
        COOKIE,
        new.key,
        max_age=MAX_AGE_S,
        path="/v1",
        secure=request.url.scheme == "https",
        httponly=True,
        samesite="strict",
    )
    return describe_session(here, caller)


@router.delete(
    "/session", operation_id="end_session", summary="Forget the cookie", status_code=204, responses=documented(401, 403)
)
def end_session(request: Request) -> Response:
    refuse_websites(request, any_host=True)
    response = Response(status_code=204)
    response.delete_cookie(COOKIE, path="/v1", httponly=True, samesite="strict")
    return response
