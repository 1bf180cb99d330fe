"""Folders that are no parity data, damaged cases, and the command."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from services.cli.main import app
from shared.core.errors import InputError
from trainer.parity import Case, check, find


def test_a_folder_without_cases(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        find(tmp_path)
    assert caught.value.code == "no_parity"
    result = CliRunner().invoke(app, ["parity", str(tmp_path), "--json"])
    assert result.exit_code == 3 and json.loads(result.stdout)["error"]["code"] == "no_parity"


@pytest.mark.parametrize("content", ["", "[]", '{"seed": 0}', "{"])
def test_a_case_that_lacks_something(tmp_path: Path, content: str) -> None:
    (tmp_path / "loss").mkdir()
    (tmp_path / "loss" / "loss.json").write_text(content)
    with pytest.raises(InputError) as caught:
        list(check(find(tmp_path)))
    assert caught.value.code == "bad_parity"


def test_arrays_are_never_unpickled(tmp_path: Path) -> None:
    (tmp_path / "loss").mkdir()
    (tmp_path / "loss" / "loss.json").write_text('{"seed": 0}')
    (tmp_path / "loss" / "loss.npz").write_bytes(b"\x80\x04\x95")
    with pytest.raises(InputError) as caught:
        list(check(find(tmp_path)))
    assert caught.value.code == "bad_parity"


def test_the_command_says_a_line_a_case_and_fails_with_one(parity_dir: Path, tmp_path: Path) -> None:
    shutil.copytree(parity_dir / "video_frontend", tmp_path / "video_frontend", copy_function=shutil.copyfile)
    (tmp_path / "video_frontend").chmod(0o755)
    whole = CliRunner().invoke(app, ["parity", str(tmp_path), "--only", "*/tables"])
    assert whole.exit_code == 0 and "ok   video_frontend/tables" in whole.stdout
    assert "1 of 1 cases hold" in whole.stdout
    table = tmp_path / "video_frontend" / "tables.json"
    stated = json.loads(table.read_text())
    stated["clip_windows_audio_T3"][0]["windows_samples"][0][1] += 1
    table.write_text(json.dumps(stated))
    broken = CliRunner().invoke(app, ["parity", str(tmp_path), "--only", "*/tables"])
    assert broken.exit_code == 3 and "FAIL video_frontend/tables" in broken.stdout and "1 wrong" in broken.stdout
    as_json = CliRunner().invoke(app, ["parity", str(tmp_path), "--only", "*/tables", "--json"])
    found = json.loads(as_json.stdout)
    assert as_json.exit_code == 3 and found["ok"] is False
    assert {entry["part"]: entry["ok"] for entry in found["cases"][0]["checks"]}["clip_windows_audio"] is False


def test_no_number_and_another_shape_do_not_hold() -> None:
    case = Case("x")
    assert not case.ok, "a case without checks proves nothing"
    case.compare("same", [1.0], [1.0], 1e-9)
    assert case.ok
    case.compare("shape", [1.0, 1.0], [1.0], 1e9)
    assert not case.ok and case.worst.part == "shape"
    other = Case("y")
    other.compare("nan", [float("nan")], [1.0], 1e9)
    assert not other.ok
