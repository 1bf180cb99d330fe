"""``counterdub shards`` as a user meets it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from services.cli.main import app


def run(*arguments: str | Path) -> tuple[int, dict[str, Any]]:
    done = CliRunner().invoke(app, ["shards", *map(str, arguments), "--json"])
    return done.exit_code, json.loads(done.stdout)


def test_made_found_and_verified(out: Path, tmp_path: Path) -> None:
    to = tmp_path / "to"
    code, made = run(out, "--to", to)
    assert code == 0 and (made["shots"], made["made"], made["kept"]) == (4, 1, 0)
    code, again = run(out, "--to", to)
    assert code == 0 and (again["made"], again["kept"]) == (0, 1) and again["digest"] == made["digest"]
    assert run("--verify", to) == (0, {"shards": 1, "shots": 4, "problems": {}})
    (to / "shard-000000.tar").write_bytes(b"")
    code, bad = run("--verify", to)
    assert code == 3 and list(bad["problems"]) == ["shard-000000.tar"]


def test_what_could_not_be_used_shows_in_the_exit_code(out: Path, tmp_path: Path) -> None:
    (out / "one/tracks/es.flac").unlink()
    (out / "two.b/tracks/orig.flac").unlink()
    code, made = run(out, "--to", tmp_path / "to")
    assert code == 1 and made["shots"] == 2
    assert made["skipped"] == {"bad_audio": 2} and made["left_out"] == {"es: bad_audio": 2}


@pytest.mark.parametrize(
    ("arguments", "exit_code", "code"),
    [
        ((), 2, "bad_usage"),
        (("out",), 2, "bad_usage"),
        (("--dubs", "x", "--to", "y"), 2, "bad_usage"),
        (("--dubs", "x", "--to", "y", "--primary", "en"), 2, "no_input"),
        (("nowhere", "--to", "y"), 2, "no_run"),
        (("--verify", "nowhere"), 3, "no_index"),
    ],
)
def test_bad_requests(
    arguments: tuple[str, ...], exit_code: int, code: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    found, said = run(*arguments)
    assert (found, said["error"]["code"]) == (exit_code, code)
