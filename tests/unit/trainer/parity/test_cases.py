"""Every parity case holds."""

from __future__ import annotations

from pathlib import Path

import pytest

from trainer.parity import check, find

QUICK = [
    "audio_frontend/mel",
    "video_frontend/tables",
    "video_frontend/pixels",
    "loss/loss",
    *[f"convnets/acoustic_resnet50_stem{stem}_{channels}ch" for stem in (32, 64) for channels in (1, 2)],
    "convnets/x3d_m",
    *[f"mvit/mvit_audio_{size}_{patches}" for size in "SB" for patches in ("overlap", "nonoverlap")],
    "mvit/mvit_video_S_nonoverlap",
]
SLOW = ["mvit/mvit_video_S_overlap", "mvit/mvit_video_B_overlap", "mvit/mvit_video_B_nonoverlap"]


@pytest.mark.parametrize("name", [*QUICK, *(pytest.param(name, marks=pytest.mark.slow) for name in SLOW)])
def test_case_holds(parity_dir: Path, name: str) -> None:
    (case,) = check(find(parity_dir, name))
    assert case.ok, [entry for entry in case.checks if not entry.ok]
    assert case.notes == [] or case.notes == [
        "weights differ in their last bits from those that the case was made with"
    ]


def test_no_case_is_left_out(parity_dir: Path) -> None:
    named = {f"{path.parent.name}/{path.stem}" for path in parity_dir.glob("*/*.json")}
    assert named == {*QUICK, *SLOW}
