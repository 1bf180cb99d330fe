"""The whole miniature on real sounds, very small; what it costs to run it again; what it says without its material."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from services.cli.main import app
from shared.core.errors import CounterdubError
from tests.conftest import ROOT
from trainer.reproduce.cache import key_of, made
from trainer.reproduce.cinema.espeak_voice import VARIANTS
from trainer.reproduce.cinema.speech import SLOTS, open_bank
from trainer.reproduce.claims import CLAIMS
from trainer.reproduce.comparison import alone, everyone, run_comparison
from trainer.reproduce.probes import METRICS
from trainer.reproduce.processes import SPEECH, Speak
from trainer.reproduce.scale import SMOKE
from trainer.reproduce.summary import summarise
from trainer.reproduce.variants import BASELINES, MAIN

SMALLEST = SMOKE._replace(titles=8, shots=8, probe_titles=6, test_titles=4, sentences=3, steps=6)


@pytest.fixture(scope="session")
def material() -> Path:
    place = Path(os.environ.get("COUNTERDUB_DATA", ROOT.parent / "shared" / "data"))
    if not (place / "esc10").is_dir() or not (place / "spoken-digits").is_dir():
        pytest.skip("no ESC-10 and spoken digits: set COUNTERDUB_DATA to a folder that holds them")
    return place


@pytest.fixture(scope="session")
def espeak() -> None:
    pytest.importorskip("espeakng_loader", reason="no eSpeak NG: pip install 'counterdub[espeak]'")


@pytest.mark.slow
def test_from_nothing_to_a_report_and_again(material: Path, espeak: None, tmp_path: Path) -> None:
    heard = []
    summary = summarise(run_comparison(SMALLEST, tmp_path, material, 2, lambda *what: heard.append(what)), tmp_path)
    columns = summary["values"][MAIN]
    assert set(columns) == {"EN", "EFJ", "AUD", "AUD+EFJ", *BASELINES}
    for label, found in columns.items():
        seen = label in {"EN", "EFJ", "random tower"}
        assert {name for name in METRICS if found[name]} == set(METRICS) - (set() if seen else {"video", "audiovisual"})
        assert all(0 <= value <= 1 for name in METRICS for value in found[name].values())
    # Statistics of real sounds are far above a blind guess, so the probes probe.
    assert columns["mel statistics"]["clean"]["1"] > 0.4 and columns["mel statistics"]["digit"]["1"] > 0.4
    assert [row["name"] for row in summary["claims"]] == [claim.name for claim in CLAIMS]
    assert {row["verdict"] for row in summary["claims"]} == {"undecided"}
    assert json.loads((tmp_path / "reproduce.json").read_text())["claims"] == json.loads(json.dumps(summary["claims"]))
    assert "decides nothing" in (tmp_path / "reproduce.html").read_text()
    assert any(what.startswith("trainings, about") for what, _, _ in heard)

    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "kept").rglob("*") if path.is_file()}
    again = summarise(run_comparison(SMALLEST, tmp_path, material, 2), tmp_path)
    assert again["values"] == summary["values"] and again["claims"] == summary["claims"]
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "kept").rglob("*") if path.is_file()} == before
    table = CliRunner().invoke(app, ["eval", "table", str(tmp_path / "results"), "--json"])
    assert table.exit_code == 0 and set(json.loads(table.stdout)["labels"]) == set(columns)


def test_without_material_it_says_what_belongs_where(tmp_path: Path) -> None:
    told = CliRunner().invoke(app, ["reproduce", "--data", str(tmp_path), "--out", str(tmp_path / "out"), "--json"])
    error = json.loads(told.stdout)["error"]
    assert told.exit_code == 3 and error["code"] == "no_material"
    assert "esc10/<class>" in error["message"] and "COUNTERDUB_DATA" in error["message"]


def test_two_do_not_share_a_folder(tmp_path: Path) -> None:
    with alone(tmp_path), pytest.raises(CounterdubError) as error, alone(tmp_path):
        pass
    assert error.value.code == "run_in_use"
    with alone(tmp_path):
        pass


def test_what_was_made_is_whole(tmp_path: Path) -> None:
    def fails(part: Path) -> None:
        (part / "half").write_text("")
        raise ValueError

    with pytest.raises(ValueError):
        made(tmp_path / "thing", fails)
    assert not (tmp_path / "thing").exists()
    made(tmp_path / "thing", lambda part: (part / "whole").touch())
    assert [path.name for path in made(tmp_path / "thing", fails).iterdir()] == ["whole"]


def test_keys_depend_on_values_and_code() -> None:
    assert key_of(1, "a") == key_of(1, "a") != key_of(2, "a")
    assert key_of(1, code=("model.py",)) != key_of(1, code=("feed.py",))


def test_espeak_speaks_every_language_in_every_voice(espeak: None, tmp_path: Path) -> None:
    """In processes of its own, as always: the library can be set up only once in each."""
    parts = {language: Speak(tmp_path / language, "espeak", language, 3) for language in ("en", "ja")}
    everyone(list(parts.values()), 1, "speech", lambda what, done, of: None)
    bank = open_bank({("espeak", language): job.folder / SPEECH for language, job in parts.items()})
    assert len(bank.voice) == 2 * len(VARIANTS) * 3 and set(bank.slot) == {0, 1, 2}
    waves = [bank.wave(number) for number in range(len(bank.voice))]
    assert len({wave.tobytes() for wave in waves}) == len(waves)
    assert all(0.02 < np.sqrt(np.square(wave).mean()) < 0.08 for wave in waves)
    assert {len(wave) for wave in waves} == {round(seconds * 16_000) for seconds in SLOTS}
