"""Where a job stands, from rows that real workers wrote."""

from __future__ import annotations

from typing import Any

from fastapi.testclient import TestClient

from services.api.app import create_app
from services.api.auth.keys import create_key
from tests.integration.queue.rig import Rig


def test_cells_queues_and_time_left(rig: Rig) -> None:
    client = TestClient(create_app(rig.settings, keys_required=False), base_url="http://localhost")
    waiting = rig.submit("clip", languages=("es", "fr"))
    before = client.get(f"/v1/jobs/{waiting}/tasks").json()
    assert before["queues"]["ingest"] == {"ready": 1, "running": 0, "workers": 0}
    assert before["seconds_left"] is None, "no such task was ever done"
    rig.worker()
    rig.wait(waiting)
    after = client.get(f"/v1/jobs/{waiting}/tasks").json()
    assert after["seconds_left"] == 0
    assert after["errors"] == []
    cells = {(cell["stage"], cell["language"]): cell for cell in after["cells"]}
    assert cells["dubbing", "es"]["states"] == cells["dubbing", "fr"]["states"] == {"done": 2}
    total = sum(count for cell in after["cells"] for count in cell["states"].values())
    assert total == rig.job(waiting).runs
    again = rig.submit("clip", languages=("es", "it"))
    known = client.get(f"/v1/jobs/{again}/tasks").json()
    assert known["seconds_left"] is not None, "what such tasks took before is known now"
    rig.wait(again)
    found = client.get(f"/v1/jobs/{again}/tasks").json()
    cells = {(cell["stage"], cell["language"]): cell for cell in found["cells"]}
    assert cells["dubbing", "es"]["cached"] == 2
    assert cells["dubbing", "it"]["cached"] == 0


def test_errors_say_what_to_do(rig: Rig) -> None:
    client = TestClient(create_app(rig.settings, keys_required=False), base_url="http://localhost")
    rig.trap("translation/es/0000", "fail")
    rig.worker()
    job = rig.submit("clip")
    rig.wait(job)
    found = client.get(f"/v1/jobs/{job}/tasks").json()
    [error] = [one for one in found["errors"] if one["task"] == "translation/es/0000"]
    assert (error["title"], error["stage"], error["language"]) == ("clip", "translation", "es")
    assert error["error"]["code"]
    assert error["error"]["message"]


def test_nobody_is_told_that_somebody_else_had_the_same_video(rig: Rig) -> None:
    """What another key's job made is found, and told as computed; one's own is told as found."""
    api = create_app(rig.settings, keys_required=True)
    keys = [create_key(rig.database, name, ["jobs:read", "jobs:write"]) for name in ("mine", "yours")]
    rig.worker()

    def told(number: int) -> tuple[dict[str, bool], dict[str, dict[str, Any]], set[str]]:
        key_id, secret = keys[number]
        job = rig.submit("clip", key_id=key_id)
        assert rig.wait(job).state == "done"
        client = TestClient(api, base_url="http://localhost", headers={"Authorization": f"Bearer {secret}"})
        found = {one.data["task"]: one.data.get("cached") for one in rig.events(job) if one.kind == "task_done"}
        cells = client.get(f"/v1/jobs/{job}/tasks").json()["cells"]
        computed = {run.task for run in rig.runs(job) if run.computed}
        return found, {f"{cell['stage']}/{cell['language']}": cell for cell in cells}, computed

    first, first_cells, all_of_them = told(0)
    strange, strange_cells, again = told(1)
    assert len(again) < len(all_of_them) / 2, "it was found, not computed"
    assert strange == first and not any(strange.values())
    for stage, cell in strange_cells.items():
        assert cell["cached"] == first_cells[stage]["cached"] == 0
    assert strange_cells["dubbing/es"]["seconds"] == first_cells["dubbing/es"]["seconds"]
    own, own_cells, _ = told(1)
    assert own["dubbing/es/0000"] is True and own_cells["dubbing/es"]["cached"] == 2
