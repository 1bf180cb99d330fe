"""The page itself: what it is served with, that it is small, and how a browser keeps its key."""

from __future__ import annotations

import gzip
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from services.api.web_page import asset
from tests.integration.api.harness import Api, make_api

SCRIPT_LIMIT = 300_000
"""Bytes of packed script that the first view may take."""


@pytest.fixture
def html(api: Api) -> str:
    return api.client().get("/").text


def test_the_page_runs_its_own_files_and_nothing_else(api: Api, html: str) -> None:
    policy = api.client().get("/").headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "script-src 'self';" in policy
    assert "unsafe" not in policy
    assert "http" not in policy
    assert "<style" not in html
    assert not re.search(r"<script(?![^>]*\bsrc=\"/assets/)", html)
    assert not re.search(r"(src|href)=\"(https?:)?//", html)


def test_files_are_kept_for_ever_under_names_that_change_with_them(api: Api, html: str) -> None:
    client = api.client()
    assert client.get("/").headers["cache-control"] == "no-cache"
    names = re.findall(r'(?:src|href)="(/assets/[^"]+)"', html)
    assert len(names) == 2
    for name in names:
        found = client.get(name)
        assert found.headers["cache-control"] == "public, max-age=31536000, immutable"
        assert found.headers["content-type"].startswith(("text/javascript", "text/css"))
        again = client.get(name, headers={"If-None-Match": found.headers["etag"]})
        assert again.status_code == 304
        assert client.head(name).content == b""


def test_the_first_view_is_small(api: Api, html: str) -> None:
    script = re.search(r'src="/(assets/[^"]+\.js)"', html)
    assert script is not None
    found = api.client().get(f"/{script[1]}", headers={"Accept-Encoding": "gzip"})
    assert found.headers["content-encoding"] == "gzip"
    known = asset(script[1])
    assert known is not None
    assert len(known.packed) <= SCRIPT_LIMIT
    assert gzip.decompress(known.packed) == known.content == found.content


@pytest.mark.parametrize(
    "name", ["/assets/none.js", "/assets/..%2findex.html", "/assets/%2e%2e/page.py", "/assets/index.html"]
)
def test_nothing_else_is_served(api: Api, name: str) -> None:
    assert api.client().get(name).status_code == 404


class TestSession:
    @pytest.fixture
    def locked(self, tmp_path: Path) -> Iterator[Api]:
        api = make_api(tmp_path, keys_required=True)
        yield api
        api.database.close()

    def test_a_key_is_given_once(self, locked: Api) -> None:
        key_id, secret = locked.key("jobs:read")
        client = locked.client()
        assert client.get("/").status_code == 200
        assert client.get("/v1/session").status_code == 401
        assert client.get("/v1/jobs").status_code == 401
        begun = client.post("/v1/session", json={"key": secret})
        assert begun.json() == {"keys_required": True, "key": key_id, "scopes": ["jobs:read"]}
        cookie = begun.headers["set-cookie"]
        for part in ("HttpOnly", "SameSite=strict", "Path=/v1"):
            assert part in cookie
        assert secret not in begun.text
        assert client.get("/v1/session").json()["key"] == key_id
        assert client.get("/v1/jobs").status_code == 200
        assert client.post("/v1/jobs", json={}).status_code == 403, "the scope still counts"
        assert client.delete("/v1/session").status_code == 204
        assert client.get("/v1/jobs").status_code == 401

    def test_a_wrong_key_is_refused_and_not_kept(self, locked: Api) -> None:
        client = locked.client()
        refused = client.post("/v1/session", json={"key": "cdk_wrong"})
        assert (refused.status_code, refused.json()["code"]) == (401, "unauthenticated")
        assert "set-cookie" not in refused.headers

    def test_another_website_gets_nothing_done_with_the_cookie(self, locked: Api) -> None:
        job = locked.job(locked.key("jobs:write")[0])
        _, secret = locked.key("admin")
        client = locked.client()
        client.post("/v1/session", json={"key": secret})
        for headers in ({"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "cross-site"}):
            refused = client.post(f"/v1/jobs/{job}:cancel", headers=headers)
            assert (refused.status_code, refused.json()["code"]) == (403, "forbidden")
            assert client.post("/v1/session", json={"key": secret}, headers=headers).status_code == 403
        own = client.post(f"/v1/jobs/{job}:cancel", headers={"Origin": "http://localhost"})
        assert own.status_code == 202
        said = client.get("/v1/jobs", headers={"Host": "dub.example.org", "Cookie": f"counterdub_key={secret}"})
        assert said.status_code == 200, "any name that leads here may be used with a key"

    def test_a_revoked_key_ends_the_session(self, locked: Api) -> None:
        from services.api.auth.keys import revoke_key

        key_id, secret = locked.key("jobs:read")
        client = locked.client()
        client.post("/v1/session", json={"key": secret})
        revoke_key(locked.database, key_id)
        assert client.get("/v1/session").status_code == 401

    def test_where_no_key_is_needed_everybody_is_let_in(self, api: Api) -> None:
        said = api.client().get("/v1/session").json()
        assert said["keys_required"] is False
        assert said["key"] is None
