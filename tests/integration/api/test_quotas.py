"""Quotas where they can be gone round: jobs that are opened again, files that are fetched."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from services.api.auth.keys import Limits, create_key
from services.ingest.video_download import fetch
from shared.core.errors import CounterdubError
from shared.core.records import Utterance, write_jsonl
from shared.ledger.tables import Edit, Job, StageRun, Title
from shared.settings.models import stored_settings
from tests.integration.api.harness import make_api
from tests.integration.security.installation import install, problem
from tests.integration.security.origin import respond, serving


def test_quota_of_open_jobs_holds_for_what_is_opened_again(tmp_path: Path) -> None:
    """A retry and an edited line make a job an open one again."""
    api = make_api(tmp_path, keys_required=True)
    key_id, secret = create_key(api.database, "small", ("jobs:read", "jobs:write"), Limits(max_open_jobs=1))
    client = api.client(secret)
    failed, done, open_one = (api.job(key_id, state=state) for state in ("failed", "done", "running"))
    with api.store.workspace() as folder:
        write_jsonl(folder / "utterances.jsonl", [Utterance(id="u0001", start=0, end=1, language="en", text="Hey!")])
        made = asdict(api.store.add("utterances.jsonl", folder / "utterances.jsonl", move=True))
    with api.database.write() as session:
        title = session.scalars(select(Title).where(Title.job_id == done)).one()
        title.video = made
        run = StageRun(job_id=done, title_id=title.id, title="clip", task="speakers", stage="speakers", queue="pairing")
        run.state, run.outputs = "done", {"utterances.jsonl": made}
        session.add(run)

    def retried() -> Any:
        return client.post(f"/v1/jobs/{failed}:retry")

    def edited() -> Any:
        return client.patch(f"/v1/jobs/{done}/utterances/es/u0001", json={"text": "¡Vamos!"})

    for ask in (retried, edited):
        assert problem(ask(), 429) == "quota_jobs"
    with api.database.read() as session:
        assert session.get_one(Job, failed).state == "failed" and session.get_one(Job, done).state == "done"
        assert not session.scalars(select(Edit)).all()
    with api.database.write() as session:
        session.get_one(Job, open_one).state = "done"
    assert edited().status_code == 202
    assert problem(retried(), 429) == "quota_jobs", "the edited one is open now"


def test_what_is_fetched_for_a_key_is_bound_by_its_bytes(tmp_path: Path) -> None:
    """The limit goes with the job's stored settings to whoever fetches, whatever the caller asks for."""
    api = install(tmp_path / "data")
    body = {"sources": [{"url": "http://example.org/a.mp4"}], "languages": ["es"], "settings": {}}
    for asked in ({}, {"limits": {"max_bytes": 10**12}}, {"limits": {"max_bytes": 500}}):
        answer = api.caller(max_bytes=1000).post("/v1/jobs", json={**body, "settings": asked})
        if answer.status_code == 202:
            (job,) = [one for one in api.jobs() if one.id == answer.json()["id"]]
            most = stored_settings(job.settings)[0].limits.max_bytes
            assert most == min(1000, asked.get("limits", {}).get("max_bytes", 1000))
            with serving({"/a": respond(200, bytes(most + 1))}) as origin, pytest.raises(CounterdubError) as caught:
                limits = stored_settings(job.settings)[0].limits
                where = api.settings.model_copy(update={"private_hosts": ["127.0.0.1"]})
                fetch(f"{origin.url}/a", "url", tmp_path / f"f{most}", where, limits, lambda *_: None)
            assert caught.value.code == "too_large"
        else:
            assert asked and answer.status_code == 422
