"""Where a job stands, from rows that real workers wrote."""

from __future__ import annotations

from fastapi.testclient import TestClient

from services.api.app import create_app
from tests.services.rig import Rig


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
