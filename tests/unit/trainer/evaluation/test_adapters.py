"""X-ARES and MTEB over a checkpoint, by the installed packages on local data; skipped where they are not installed."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import soundfile as sf
import torch

from trainer.encoder import Encoder


def tones(count: int, rate: int = 48_000, seed: int = 0) -> list[tuple[np.ndarray, int]]:
    """Sounds of half a second: class 0 low, class 1 high."""
    rng = np.random.default_rng(seed)
    time = np.arange(rate // 2) / rate
    made = []
    for number in range(count):
        pitch = (300, 3000)[number % 2] * rng.uniform(0.9, 1.1)
        made.append((0.2 * np.sin(2 * np.pi * pitch * time) + 0.01 * rng.standard_normal(len(time)), number % 2))
    return [(wave.astype(np.float32), label) for wave, label in made]


@pytest.mark.slow
def test_xares_checks_and_runs_the_encoder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its own checker, then one of its tasks whole: tars, embeddings, its MLP."""
    checker = pytest.importorskip("xares.audio_encoder_checker", reason="the package xares is not installed")
    xares = pytest.importorskip("xares.task", reason="xares or torchaudio cannot be imported")
    import torchaudio
    from xares.audiowebdataset import write_audio_tar

    from trainer.evaluation.xares_encoder import CounterdubEncoder

    def load(file: str, **_: object) -> tuple[torch.Tensor, int]:
        data, rate = sf.read(file, dtype="float32", always_2d=True)
        return torch.from_numpy(data.T.copy()), rate

    # torchaudio decodes through torchcodec, which needs a system's FFmpeg.
    monkeypatch.setattr(torchaudio, "load", load)
    monkeypatch.setenv("COUNTERDUB_CHECKPOINT", "random:tiny-en")
    encoder = CounterdubEncoder()
    assert checker.check_audio_encoder(encoder)
    assert encoder(torch.zeros(1, encoder.sampling_rate)).shape == (1, 5, encoder.output_dim)
    home = tmp_path / "tones"
    for split, count in {"train": 24, "valid": 8, "test": 8}.items():
        files, labels = [], []
        for number, (wave, label) in enumerate(tones(count, seed=count)):
            files.append(str(tmp_path / f"{split}{number}.wav"))
            sf.write(files[-1], wave, 48_000)
            labels.append({"label": label})
        home.mkdir(exist_ok=True)
        write_audio_tar(files, labels, str(home / f"{split}-*.tar"), num_shards=2)
    (home / ".audio_tar_ready").touch()
    config = xares.TaskConfig(
        name="tones",
        encoder=encoder,
        private=True,
        env_root=tmp_path,
        label_processor=lambda target: target["label"],
        output_dim=2,
        epochs=15,
        learning_rate=0.03,
        batch_size_train=4,
        batch_size_encode=4,
        num_encoder_workers=0,
        eval_weight=8,
    )
    task = xares.XaresTask(config)
    task.make_encoded_tar()
    assert task.run_mlp()[0] > 0.8


@pytest.mark.slow
def test_mteb_evaluates_the_model(tmp_path: Path) -> None:
    """MAEB's kind of classification and MVEB's kind of input, from local data."""
    mteb = pytest.importorskip("mteb", reason="the package mteb is not installed")
    import datasets
    from mteb.abstasks.classification import AbsTaskClassification
    from mteb.abstasks.task_metadata import TaskMetadata
    from mteb.models.models_protocols import EncoderProtocol

    from trainer.evaluation.mteb_model import load

    class Tones(AbsTaskClassification):  # type: ignore[misc]  # the library has no types
        metadata = TaskMetadata(
            name="LocalTones",
            description="Low and high tones.",
            reference=None,
            dataset={"path": "local/tones", "revision": "1"},
            type="AudioClassification",
            category="a2c",
            eval_splits=["test"],
            eval_langs=["zxx-Zxxx"],
            main_score="accuracy",
            modalities=["audio"],
        )
        input_column_name = "audio"
        label_column_name = "label"

        def load_data(self, **_: object) -> None:
            self.dataset = datasets.DatasetDict({split: rows(count) for split, count in (("train", 24), ("test", 12))})
            self.data_loaded = True

    def rows(count: int) -> datasets.Dataset:
        made = tones(count, rate=16_000, seed=count)
        sounds = [{"array": wave.tolist(), "sampling_rate": 16_000} for wave, _ in made]
        return datasets.Dataset.from_dict({"audio": sounds, "label": [label for _, label in made]})

    model = load("random:tiny-en", device="cpu")
    assert isinstance(model, EncoderProtocol)
    assert model.mteb_model_meta.name == "counterdub/tiny-en" and "video" in model.mteb_model_meta.modalities
    result = mteb.evaluate(model, Tones(), cache=None, overwrite_strategy="always", encode_kwargs={"batch_size": 8})
    score = result.task_results[0].scores["test"][0]["accuracy"]
    assert score > 0.9


def test_mteb_pictures_and_joined_rows() -> None:
    pytest.importorskip("mteb", reason="the package mteb is not installed")
    from types import SimpleNamespace

    from trainer.evaluation.mteb_model import load

    model = load("random:tiny-en", device="cpu")
    clip = torch.randint(0, 255, (20, 3, 48, 80), dtype=torch.uint8)
    sound = {"array": np.zeros(8000), "sampling_rate": 8000}

    class Loader(list[Any]):
        dataset = SimpleNamespace(features={"audio": None, "video": None})

    batch = {"audio": [sound, sound], "video": [clip, clip]}
    joined = model.encode(Loader([batch]), task_metadata=SimpleNamespace(type="VideoClassification"))
    assert joined.shape == (2, model.encoder.audio_size + cast(Encoder, model.encoder).video_size)
    Loader.dataset = SimpleNamespace(features={"video": None})
    projected = model.encode(Loader([batch]), task_metadata=SimpleNamespace(type="Any2AnyRetrieval"))
    assert projected.shape == (2, cast(Encoder, model.encoder).head_size)
    np.testing.assert_allclose(np.linalg.norm(projected, axis=1), 1, atol=1e-5)
    Loader.dataset = SimpleNamespace(features={"text": None})
    with pytest.raises(ValueError, match="neither"):
        model.encode(Loader([batch]), task_metadata=SimpleNamespace(type="Retrieval"))
