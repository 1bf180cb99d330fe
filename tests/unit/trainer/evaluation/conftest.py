"""Tasks laid out from real sounds, a task of generated events, and an encoder that counts what it is asked."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile as sf

from trainer.evaluation.baselines import MelStatistics
from trainer.evaluation.hear.layouts import lay_out
from trainer.evaluation.hear.tasks import HearTask, read_task

SMALL: dict[str, list[Any]] = {
    "hidden_layers": [1],
    "hidden_dim": [128],
    "lr": [1e-3],
    "initialization": ["xavier_uniform_"],
}
"""A grid of one point, for tests of the protocol rather than of the best figure."""


@pytest.fixture(scope="session")
def esc10(data_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> HearTask:
    """ESC-10, 400 clips in 5 folds."""
    return lay_out("esc", data_dir / "esc10", tmp_path_factory.mktemp("hear") / "esc10")


@pytest.fixture(scope="session")
def spoken_digits(data_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> HearTask:
    """Spoken digits, takes 0–11 of every speaker, by the data set's own split."""
    chosen = tmp_path_factory.mktemp("digits")
    for file in (data_dir / "spoken-digits" / "recordings").glob("*.wav"):
        if int(file.stem.split("_")[2]) < 12:
            (chosen / file.name).symlink_to(file)
    return lay_out("digit-takes", chosen, tmp_path_factory.mktemp("hear") / "digits")


class Counting(MelStatistics):
    """Mel statistics that remember how many windows they were asked for."""

    def __init__(self, seconds: float = 0.5) -> None:
        super().__init__(seconds=seconds)
        self.windows = 0

    def audio(self, waves: np.ndarray) -> np.ndarray:
        self.windows += len(waves)
        return super().audio(waves)


def write_hear_task(
    folder: Path,
    metadata: dict[str, Any],
    rows: dict[str, Any],
    sounds: dict[tuple[str, str], np.ndarray],
    rate: int = 48_000,
) -> Path:
    """A task folder; ``rows``: split → file → labels; ``sounds``: (split, file) → wave."""
    folder.mkdir(parents=True)
    every = [row for own in rows.values() for of in own.values() for row in of]
    names = {str(row["label"] if isinstance(row, dict) else row) for row in every}
    lines = ["idx,label", *(f"{index},{label}" for index, label in enumerate(sorted(names)))]
    (folder / "labelvocabulary.csv").write_text("\n".join(lines) + "\n")
    base = {"task_name": folder.name, "version": "1", "sample_duration": 1.0, "splits": sorted(rows)}
    (folder / "task_metadata.json").write_text(json.dumps(base | metadata))
    for split, own in rows.items():
        (folder / f"{split}.json").write_text(json.dumps(own))
    for (split, name), wave in sounds.items():
        path = folder / str(rate) / split / name
        path.parent.mkdir(parents=True, exist_ok=True)
        sf.write(path, wave, rate)
    return folder


@pytest.fixture(scope="session")
def tones(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A scene task, three folds of tones of two pitches in noise, eight takes each."""
    rng = np.random.default_rng(0)
    time = np.arange(24_000) / 48_000
    rows: dict[str, Any] = {}
    sounds = {}
    for fold in range(3):
        own = rows.setdefault(f"fold{fold:02d}", {})
        for take in range(16):
            pitch = ("low", "high")[take % 2]
            wave = 0.3 * np.sin(2 * np.pi * (300 if pitch == "low" else 2400) * time) + 0.02 * rng.standard_normal(
                24_000
            )
            own[f"{fold}-{take}.wav"] = [pitch]
            sounds[f"fold{fold:02d}", f"{fold}-{take}.wav"] = wave
    metadata = {
        "embedding_type": "scene",
        "prediction_type": "multiclass",
        "split_mode": "new_split_kfold",
        "evaluation": ["top1_acc", "mAP", "d_prime", "aucroc"],
        "evaluation_params": {"task_specific_param_grid": SMALL | {"max_epochs": [60]}},
    }
    return write_hear_task(tmp_path_factory.mktemp("hear") / "tones", metadata, rows, sounds)


@pytest.fixture(scope="session")
def beeps(tmp_path_factory: pytest.TempPathFactory) -> HearTask:
    """An event task of generated beeps of two pitches in noise, train, valid and test of 6, 3, 3 files of 6 s."""
    rng = np.random.default_rng(1)
    rows: dict[str, Any] = {}
    sounds = {}
    for split, files in {"train": 6, "valid": 3, "test": 3}.items():
        for number in range(files):
            wave = 0.01 * rng.standard_normal(6 * 48_000)
            events = []
            start = 300.0
            while start < 5200:
                length = float(rng.integers(350, 700))
                label, pitch = (("low", 400.0), ("high", 3000.0))[rng.integers(2)]
                at = slice(int(start * 48), int((start + length) * 48))
                wave[at] += 0.3 * np.sin(2 * np.pi * pitch * np.arange(at.stop - at.start) / 48_000)[: len(wave[at])]
                events.append({"label": label, "start": start, "end": start + length})
                start += length + float(rng.integers(400, 900))
            name = f"{split}-{number}.wav"
            rows.setdefault(split, {})[name] = events
            sounds[split, name] = wave
    metadata = {
        "embedding_type": "event",
        "prediction_type": "multilabel",
        "split_mode": "trainvaltest",
        "evaluation": ["event_onset_200ms_fms", "segment_1s_er"],
        "evaluation_params": {"task_specific_param_grid": SMALL | {"max_epochs": [60]}},
    }
    return read_task(write_hear_task(tmp_path_factory.mktemp("hear") / "beeps", metadata, rows, sounds))
