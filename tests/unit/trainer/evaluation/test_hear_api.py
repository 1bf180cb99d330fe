"""The HEAR 2021 API over checkpoints and baselines, and the embeddings it gives."""

from __future__ import annotations

import sys
import types
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.unit.trainer.embedding.conftest import write
from tests.unit.trainer.evaluation.conftest import SMALL
from trainer.evaluation import hear
from trainer.evaluation.baselines import MelStatistics, encoder_of
from trainer.evaluation.cache import EmbeddingCache
from trainer.evaluation.embedding import moments, scenes
from trainer.evaluation.hear.protocol import evaluate
from trainer.evaluation.hear.tasks import read_task
from trainer.evaluation.subject import Subject


def test_batches_do_not_change_embeddings() -> None:
    rng = np.random.default_rng(0)
    waves = [rng.standard_normal(length).astype(np.float32) * 0.1 for length in (10_000, 144_000, 300_000, 500_001)]
    encoder = encoder_of("random:tiny-en")
    together = scenes(encoder, waves, batch=3)
    alone = np.concatenate([scenes(encoder, [wave]) for wave in waves])
    assert together.shape == (4, encoder.audio_size)
    np.testing.assert_allclose(together, alone, atol=1e-4)


def test_timestamps_are_centred() -> None:
    """A click's moment has the most of it, and steps are equal to the last digit."""
    wave = np.zeros(48_000, dtype=np.float32)
    wave[24_000] = 1.0
    rows, times = moments(MelStatistics(seconds=0.1), wave)
    assert times.tolist() == [50.0 * n for n in range(20)]
    assert rows.shape == (20, 192)
    assert times[rows[:, 96:].sum(1).argmax()] in {450.0, 500.0, 550.0}


def test_hear_api_as_its_validator_asks() -> None:
    model = hear.load_model("random:tiny-en")
    assert isinstance(model, torch.nn.Module) and model.sample_rate in {16_000, 22_050, 44_100, 48_000}
    sounds = torch.rand(2, 2 * model.sample_rate) * 2 - 1
    embeddings, times = hear.get_timestamp_embeddings(sounds, model)
    assert embeddings.dtype == torch.float32 and embeddings.shape == (2, 40, model.timestamp_embedding_size)
    assert times.shape == (2, 40) and torch.all((torch.diff(times) - 50).abs() < 1e-3)
    scene = hear.get_scene_embeddings(sounds, model)
    assert scene.dtype == torch.float32 and scene.shape == (2, model.scene_embedding_size)
    assert model.to("cpu") is model


def test_the_public_validator_is_content(monkeypatch: pytest.MonkeyPatch) -> None:
    """hearvalidator imports tensorflow to look for its models; ours are not, so an empty module does."""
    stand_in = types.ModuleType("tensorflow")
    stand_in.Module = type("Module", (), {})  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "tensorflow", stand_in)
    validate = pytest.importorskip("hearvalidator.validate", reason="the package hearvalidator is not installed")
    validate.ValidateModel("trainer.evaluation.hear", "random:tiny-en", "cpu")()


def test_a_checkpoint_of_ours_runs_and_has_its_own_cache(tones: Path, tmp_path: Path) -> None:
    """The folder of a run; another step of it finds nothing of the first."""
    task = read_task(tones)._replace(grid=SMALL | {"max_epochs": [3]})
    kept = tmp_path / "embeddings.db"
    for step in (7, 9):
        write(tmp_path / "run", step=step, seed=step)
        encoder = encoder_of(str(tmp_path / "run"))
        with EmbeddingCache(kept) as cache:
            result, _ = evaluate(task, Subject(encoder, cache, "run"), grid_points=1)
        assert result["cost"]["embedded"] == 48
        assert result["checkpoint"]["id"] == encoder.id and len(encoder.id) == 64
    model = hear.load_model(str(tmp_path / "run"))
    assert model.scene_embedding_size == encoder.audio_size
