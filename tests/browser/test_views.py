"""All views in a real browser: nobody is shut out, nothing sticks out, keys are kept from scripts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from services.pairing.acceptance.criteria import judge, need_counterpart, objections
from shared.schemas.pairs import PairRow
from shared.settings.models import PairingSettings
from tests.browser.conftest import Drive, Site
from tests.browser.site import short_title
from tests.integration.api.harness import make_api, serving


def test_axe_finds_nothing_serious_in_any_view(drive: Drive, site: Site) -> None:
    views = [
        ("jobs", "#/", ".job-row"),
        ("submit", "#/submit", ".profile"),
        ("job", f"#/jobs/{site.job}", ".exports"),
        ("title", f"#/jobs/{site.job}/titles/kitchen?line=u0001&t=3", ".editor"),
        ("dataset", f"#/dataset?job={site.long}", "[data-count]"),
        ("trainings", "#/trainings", ".begin"),
    ]
    found = drive("views", url=site.url, views=views)
    assert found["faults"] == []
    assert found["wide"] == []


MOVES = [
    ("max_round_trip_cer", 0.2),
    ("min_isochrony_iou", 0.6),
    ("max_overflow_ms", 150.0),
    ("max_residual_speech", 0.2),
    ("min_shot_seconds", 2.025),
    ("max_loudness_difference_lu", 2.0),
]


def test_moved_thresholds_accept_what_the_pipeline_would(drive: Drive, site: Site) -> None:
    found = drive("dataset", url=site.url, job=site.long, moves=MOVES)
    answer = site.api.client().get(f"/v1/dataset?job={site.long}").json()
    assert found["before"] == sum(answer["accepted"]) > 0
    rows = rows_of(answer)
    moved: dict[str, float] = {}
    for (setting, _), (count, value) in zip(MOVES, found["counts"], strict=True):
        moved[setting] = value
        assert count == accepted(rows, PairingSettings(**moved)), moved
    assert len({count for count, _ in found["counts"]}) == len(MOVES)
    assert found["reloaded"] == found["counts"][-1][0]
    assert "max_overflow_ms=150" in found["address"]
    assert found["after"] == found["before"]


def rows_of(answer: dict[str, Any]) -> list[PairRow]:
    found = []
    for at in range(answer["rows"]):
        words = {
            name: labels["names"][labels["codes"][at]] if labels["codes"][at] >= 0 else None
            for name, labels in answer["labels"].items()
        }
        values = {name: column[at] for name, column in answer["metrics"].items()}
        words = {name: words[name] for name in ("title", "track", "language", "detected_language")}
        found.append(PairRow(shot=answer["shot"][at], source_language="en", utterances=2, **words, **values))
    return found


def accepted(rows: list[PairRow], settings: PairingSettings) -> int:
    """By the pipeline's own rules, shot by shot."""
    shots: dict[int | None, list[PairRow]] = {}
    for row in rows:
        shots.setdefault(row.shot, []).append(judge(row, objections(row, [], 0.6, settings)))
    return sum(row.accepted for some in shots.values() for row in need_counterpart(some))


def test_a_key_opens_the_page_and_stays_out_of_reach(drive: Drive, tmp_path: Path, sample: Path) -> None:
    api = make_api(tmp_path / "api", keys_required=True)
    _, key = api.key("admin")
    job = short_title(api, tmp_path / "short", sample)
    with serving(api) as url:
        found = drive("gate", url=url, job=job, title="kitchen", key=key)
    api.database.close()
    assert "unauthenticated" in found["refused"]
    assert found["faults"] == []
    assert found["cookies"] == [{"name": "counterdub_key", "httpOnly": True, "sameSite": "Strict", "path": "/v1"}]
    assert found["scriptsSee"] == ""
    assert key not in found["stored"]
    assert "$COUNTERDUB_API_KEY" in found["command"]
    assert found["left"]


CHUNK = 8 * 2**20


def test_an_upload_goes_on_after_a_reload(drive: Drive, site: Site, tmp_path: Path) -> None:
    video = tmp_path / "film.mp4"
    video.write_bytes(bytes(20 * 2**20))
    found = drive("resume", url=site.url, video=str(video), chunk=CHUNK, size=video.stat().st_size)
    assert found["kept"] == [True, "Half a film", "paper"]
    assert found["offsets"][: found["before"]] == [0]
    assert found["offsets"][found["before"] :] == [CHUNK, 2 * CHUNK], "what was there is not sent again"
    assert "CC-BY-NC-4.0" in found["warned"]
    assert found["says"] == "Accept the licences."
    assert found["ready"]
    assert '"licences":{"accepted":["CC-BY-NC-4.0"]}' in found["command"]
