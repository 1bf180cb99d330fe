"""The report: one safe, self-contained page, and its numbers, whatever became of the titles."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, cast

import pyarrow.parquet as pq
import pytest

from services.pairing.report.lines import redub
from services.pairing.report.measures import MEASURES
from services.pairing.report.schema import RunReport
from services.pairing.report.shot_players import affordable
from shared.core.records import CastMember
from shared.settings.models import Settings
from tests.unit.services.pairing.report.fixtures import LANGUAGES, SHOTS, RunFolder, add_title, dubbed

HOSTILE = """</td><script>alert("x")</script><img src=x onerror=alert(1)>'"&"""
ERROR = {
    "code": "not_a_video",
    "stage": "ingest",
    "message": "This is <b>no</b> video.",
    "retryable": False,
    "details": {},
}
VOID = {"meta", "img", "input", "br", "link", "hr"}


class Page(HTMLParser):
    """Elements of a page; fails on tags that do not match."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert len(attrs) == len(dict(attrs)), (tag, attrs)
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag, (tag, self.getpos())

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attrs for name, attrs in self.elements if name == tag]


Made = tuple[str, dict[str, Any], dict[str, Path]]
"""The page, the numbers, all outputs."""


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    return RunFolder(tmp_path / "in")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    folder = tmp_path_factory.mktemp("report")
    run = RunFolder(folder / "in")
    add_title(run)
    return run.make(folder / "out")


def test_page_is_self_contained(made: Made) -> None:
    html, _, _ = made
    page = Page(html)
    for tag, attrs in page.elements:
        for name in ("src", "href", "srcset", "action", "data", "poster", "xlink:href"):
            value = attrs.get(name)
            assert value is None or value.startswith(("data:", "#")), (tag, name, value)
    assert not re.search(r"(https?:)?//[a-z0-9-]+\.[a-z]{2,}", re.sub(r'"data:[^"]+"', "", html))
    assert "@import" not in html and "url(" not in html


def test_policy_lets_only_this_script_and_style_run(made: Made) -> None:
    html, _, _ = made
    page = Page(html)
    policy = next(m["content"] for m in page.all("meta") if m.get("http-equiv") == "Content-Security-Policy")
    assert "default-src 'none'" in policy and "unsafe" not in policy
    for kind in ("style", "script"):
        (text,) = re.findall(rf"<{kind}>(.*?)</{kind}>", html, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"{kind}-src 'sha256-{digest}'" in policy
    assert not [attrs for _, attrs in page.elements if any(name.startswith("on") or name == "style" for name in attrs)]


def test_hostile_titles_and_lines_are_shown_as_text(run: RunFolder, tmp_path: Path) -> None:
    add_title(run, "<script>alert(1)</script>", text=HOSTILE)
    run.titles.append("broken")
    run.failed["broken"] = ERROR
    html, _, _ = run.make(tmp_path / "out")
    page = Page(html)
    assert len(page.all("script")) == 1
    assert "alert(1)</script>" not in html and "<b>no</b>" not in html
    assert not [image for image in page.all("img") if image["src"] == "x"]
    assert "&lt;img src=x onerror=alert(1)&gt;" in html


def test_every_measure_has_its_histogram_and_thresholds(made: Made) -> None:
    html, numbers, _ = made
    for measure in MEASURES:
        (figure,) = re.findall(rf'<figure class="measure" id="measure-{measure.name}">(.*?)</figure>', html, re.DOTALL)
        found = numbers["measures"][measure.name]
        assert found["tracks"], measure.name
        bars = re.findall(r'<rect class="k\d', figure.split("<figcaption>")[0])
        assert bars, measure.name
        assert len(found["limits"]) == len(measure.limits)
        lines = re.findall(r'<line class="(limit|guide)"', figure)
        assert lines == ["limit" if limit["rejects"] else "guide" for limit in found["limits"]]
        for limit in found["limits"]:
            assert limit["setting"] in figure
    rejecting = {limit["setting"] for m in numbers["measures"].values() for limit in m["limits"] if limit["rejects"]}
    shots = {"min_shot_seconds", "max_shot_seconds"}
    assert rejecting == {f"pairing.{name}" for name in numbers["thresholds"] if name not in shots}


def test_every_track_of_a_shot_has_spectrogram_and_player(made: Made) -> None:
    html, numbers, _ = made
    page = Page(html)
    strips = 3 * (2 + len(LANGUAGES))
    assert len(page.all("audio")) == len(page.all("img")) == strips
    assert all(a["src"].startswith("data:audio/mpeg;base64,") for a in page.all("audio"))
    assert all(i["src"].startswith("data:image/webp;base64,") and i["alt"] for i in page.all("img"))
    assert numbers["media"]["shots"] == 3
    labels = [button for button in page.all("button") if button.get("class") == "play"]
    assert len(labels) == 3 and all(button["aria-label"] for button in labels)


def test_tables_are_accessible(made: Made) -> None:
    html, _, _ = made
    page = Page(html)
    assert html.count("<caption") == len(page.all("table"))
    assert all("scope" in cell for cell in page.all("th"))
    ids = [attrs["id"] for _, attrs in page.elements if "id" in attrs]
    assert len(ids) == len(set(ids))
    targets = {a["href"][1:] for a in page.all("a")}
    assert targets <= set(ids)


def test_numbers_agree_with_the_tables(made: Made) -> None:
    html, numbers, outputs = made
    report = RunReport.model_validate(numbers)
    assert report.schema_version == 1
    assert pq.read_metadata(outputs["pairs.parquet"]).num_rows == report.accepted == 9
    assert pq.read_metadata(outputs["rejects.parquet"]).num_rows == report.rejected == sum(report.reasons.values())
    assert report.shot_lengths.counts[-1] == 1 and sum(report.shot_lengths.counts) == len(SHOTS)
    assert report.shot_lengths.kept == 3
    assert report.tracks["ja"].lines == {"ok": 2, "overflow": 1, "failed": 1}
    assert report.measures["language"].tracks["fr"].beyond == 1
    assert report.engine_seconds <= report.seconds
    whisper = next(engine for engine in report.engines if engine.engine == "faster-whisper")
    assert whisper.stages == ["transcription", "quality"]
    assert "not for commercial use" in html and "GPL-3.0" in html


def test_failed_titles_and_languages_are_listed_and_rejected(run: RunFolder, tmp_path: Path) -> None:
    add_title(run, "fine", languages=("es",), previews=False)
    record = run.inputs["fine/title.json"]
    failure = '"failed": {"dubbing/ja/0000": {"code": "no_voice", "stage": "dubbing", "message": "No <i>voice</i>."}}'
    record.write_text(record.read_text().replace('"failed": {}', failure))
    add_title(run, "broken", previews=False)
    run.failed["broken"] = ERROR
    html, numbers, outputs = run.make(tmp_path / "out")
    rows = pq.read_table(outputs["rejects.parquet"]).to_pylist()
    assert [row["track"] for row in rows if row["reason"] == "track_failed"] == ["ja"]
    assert [row["title"] for row in rows if row["reason"] == "title_failed"] == ["broken"]
    # What an earlier run left of a failed title is not counted.
    assert not [row for row in rows if row["title"] == "broken" and row["shot"] is not None]
    assert {row["title"] for row in pq.read_table(outputs["pairs.parquet"]).to_pylist()} == {"fine"}
    assert numbers["titles"][0]["failed_languages"] == ["ja"]
    assert numbers["titles"][1]["error"].endswith("(not_a_video)")
    assert "No &lt;i&gt;voice&lt;/i&gt;." in html
    Page(html)


def test_nothing_at_all(run: RunFolder, tmp_path: Path) -> None:
    html, numbers, outputs = run.make(tmp_path / "out")
    assert (numbers["accepted"], numbers["rejected"], numbers["titles"]) == (0, 0, [])
    assert pq.read_metadata(outputs["pairs.parquet"]).num_rows == 0
    assert "No title has been worked on yet." in html
    Page(html)


def test_only_failed_titles(run: RunFolder, tmp_path: Path) -> None:
    run.titles.append("broken")
    run.failed["broken"] = ERROR
    html, numbers, _ = run.make(tmp_path / "out")
    assert (numbers["accepted"], numbers["rejected"]) == (0, 1)
    assert numbers["media"] == {"titles": 0, "titles_total": 1, "shots": 0, "kept_shots_total": 0, "bytes": 0}
    Page(html)


def test_no_speech_and_no_previews(run: RunFolder, tmp_path: Path) -> None:
    add_title(run, speech=False, previews=False)
    html, numbers, _ = run.make(tmp_path / "out")
    assert numbers["accepted"] == 0 and numbers["reasons"]["no_speech"] == 15
    assert "No line was dubbed" in html and "There are no previews of this title." in html
    Page(html)


def test_many_shots_and_titles_stay_small(run: RunFolder, tmp_path: Path) -> None:
    report = {
        "max_titles_with_media": 2,
        "max_shots_per_title": 4,
        "max_media_bytes": 900_000,
        "max_lines_per_title": 100,
    }
    run.settings = Settings.model_validate({"report": report})
    shots = [(4.0 * n, 4.0 * n + 4.0) for n in range(1000)]
    add_title(run, "long", previews=False, shots=shots)
    for number in range(3):
        add_title(run, f"short-{number}", languages=("es",))
    html, numbers, _ = run.make(tmp_path / "out")
    assert len(html) < 2_000_000
    assert numbers["media"]["titles"] == 2 and numbers["media"]["bytes"] <= 900_000
    assert "the first 100 of 1000" in html and "2 of 4 titles are shown in detail" in html
    Page(html)


def test_media_is_spread_and_within_the_budget() -> None:
    previews = {
        track: {shot: {"spectrogram": "x" * 40, "audio": "y" * 60} for shot in range(10)} for track in ("orig", "es")
    }
    assert affordable(range(10), previews, 10_000) == (list(range(10)), 2000)
    chosen, used = affordable(range(10), previews, 1_000)
    assert chosen == [0, 2, 4, 6, 8] and used == 1000
    assert affordable(range(10), previews, 100) == ([], 0)


def test_redub_command_is_safe_to_paste() -> None:
    import numpy as np

    line = dubbed(0, "es", np.random.default_rng(0), text="it's $(rm -rf /)\n`x`; done")
    command = redub("a b", "es", line)
    assert command == (
        "counterdub redub OUT --utterance u0001 --lang es --title 'a b' --text 'it'\"'\"'s $(rm -rf /) `x`; done'"
    )


def test_foreign_voices_are_pointed_out(made: Made) -> None:
    html, _, _ = made
    assert html.count("no: foreign accent") == 1
    assert CastMember.model_fields["native"].is_required()


@pytest.mark.parametrize(
    "text", ["Open the menu: File --> Save as.", "<b>&amp;</b> {\\an8} \\N", HOSTILE, "00:01 --> 00:02"]
)
def test_texts_stand_on_the_page_as_they_are(run: RunFolder, tmp_path: Path, text: str) -> None:
    add_title(run, text=text)
    page, _, _ = run.make(tmp_path / "out")
    read = HTMLParser(convert_charrefs=True)
    seen: list[str] = []
    cast(Any, read).handle_data = seen.append
    read.feed(page)
    assert text in "".join(seen)


def test_notes_are_told(run: RunFolder, tmp_path: Path) -> None:
    add_title(run)
    title = next(iter(run.titles))
    path = run.inputs[f"{title}/title.json"]
    note = {"stage": "transcription", "kind": "transcript_times", "message": "The times were taken for <milliseconds>."}
    path.write_text(json.dumps({**json.loads(path.read_text()), "notes": [note]}))
    html, report, _ = run.make(tmp_path / "out")
    assert "The times were taken for &lt;milliseconds&gt;." in html
    assert report["titles"][0]["notes"] == [note["message"]]
