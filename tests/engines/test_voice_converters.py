"""The contract over all voice converters, on tiny checkpoints in their release's format."""

from __future__ import annotations

from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from services.dubbing.engines.conversion import LONGEST_SECONDS, cut_where_quiet
from shared.core.errors import EngineError
from shared.engines.protocols import EngineOptions
from tests.conftest import CheckedWeights
from tests.engines import tiny_dubbing
from tests.engines.contract_synthesizer import code_of
from tests.engines.test_synthesizers import voice_of

ENGINES = {"knn_vc": "KnnVc", "freevc": "FreeVc", "openvoice": "OpenVoice"}


@pytest.fixture(scope="module", params=list(ENGINES))
def kind_and_folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Path]:
    pytest.importorskip("TTS")
    kind = getattr(import_module(f"services.dubbing.engines.{request.param}"), ENGINES[request.param])
    return kind, getattr(tiny_dubbing, request.param)(tmp_path_factory.mktemp(request.param))


@pytest.fixture(scope="module")
def engine(kind_and_folder: tuple[Any, Path]) -> Any:
    kind, folder = kind_and_folder
    return kind(EngineOptions(str(folder), threads=1), CheckedWeights())


def test_same_length_and_seed(engine: Any) -> None:
    speech, reference = voice_of(1.5), voice_of(2.5, seed=1)
    out = engine.convert(speech, reference)
    assert out.dtype == np.float32
    assert out.shape == speech.shape
    assert np.isfinite(out).all()
    assert np.any(out)
    np.testing.assert_array_equal(out, engine.convert(speech, reference))


def test_the_reference_matters(engine: Any) -> None:
    speech = voice_of(1.0)
    noise = (0.1 * np.random.default_rng(3).standard_normal(40_000)).astype(np.float32)
    assert not np.array_equal(engine.convert(speech, voice_of(2.5)), engine.convert(speech, noise))


@pytest.mark.parametrize("samples", [0, 1, 500])
def test_next_to_nothing(engine: Any, samples: int) -> None:
    assert engine.convert(voice_of(1.0)[:samples], voice_of(2.5)).shape == (samples,)


def test_no_reference(engine: Any) -> None:
    for nobody in (np.zeros(0, np.float32), voice_of(0.3), np.zeros(100_000, np.float32)):
        assert code_of(partial(engine.convert, voice_of(1.0), nobody), EngineError) == "no_reference"


def test_long_speech(engine: Any) -> None:
    speech = np.tile(voice_of(1.0), 30)[: 25 * engine.sample_rate]
    assert engine.convert(speech, voice_of(3.0)).shape == speech.shape


def test_blocks_make_the_whole() -> None:
    audio = voice_of(50.0)
    audio[17 * 16_000 : 18 * 16_000] = 0
    blocks = cut_where_quiet(audio, 16_000)
    assert max(block.size for block in blocks) <= LONGEST_SECONDS * 16_000
    assert 17 * 16_000 <= blocks[0].size <= 18 * 16_000
    np.testing.assert_array_equal(np.concatenate(blocks), audio)


def test_memory(engine: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    speech, reference = voice_of(1.0), voice_of(2.5)
    before = engine.convert(speech, reference)
    engine.release()
    np.testing.assert_array_equal(before, engine.convert(speech, reference))

    def scarce(*given: Any) -> Any:
        raise RuntimeError("CUDA out of memory")

    monkeypatch.setattr(engine, "run", scarce)
    assert code_of(lambda: engine.convert(speech, reference), EngineError) == "out_of_memory"
    assert type(engine).memory_mb > 0


def test_terms_and_files(kind_and_folder: tuple[Any, Path], tmp_path: Path) -> None:
    kind, folder = kind_and_folder
    assert kind.licence.name == "MIT"
    assert len(next(iter(kind.digests(EngineOptions(str(folder))).values()))) == 64
    for model in ("", str(tmp_path / "gone")):
        options = EngineOptions(model)
        assert code_of(partial(kind, options, CheckedWeights()), EngineError) == "weights_missing"
    empty = kind(EngineOptions(str(tmp_path)), CheckedWeights())
    assert code_of(lambda: empty.convert(voice_of(1.0), voice_of(2.5)), EngineError) == "weights_missing"


def test_damaged_files(kind_and_folder: tuple[Any, Path], tmp_path: Path) -> None:
    kind, folder = kind_and_folder
    for file in folder.rglob("*"):
        if file.is_file():
            there = tmp_path / file.relative_to(folder)
            there.parent.mkdir(exist_ok=True)
            there.write_bytes(b"not a model" if file.suffix in {".pt", ".pth"} else file.read_bytes())
    engine = kind(EngineOptions(str(tmp_path)), CheckedWeights())
    assert code_of(lambda: engine.convert(voice_of(1.0), voice_of(2.5)), EngineError) == "engine_load_failed"


def test_knn_vc_as_it_was_released(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not as coqui-tts releases it; found by the engine's name among the models where no folder is given."""
    pytest.importorskip("TTS")
    from services.dubbing.engines.knn_vc import KnnVc

    monkeypatch.setenv("COUNTERDUB_MODELS", str(tmp_path))
    assert KnnVc.absent(EngineOptions(), "es") == ("the model folder “knn-vc”",)
    tiny_dubbing.released_knn_vc(tmp_path / "knn-vc")
    assert KnnVc.absent(EngineOptions(), "es") == () and KnnVc.digests(EngineOptions())["knn-vc"] != "absent"
    speech = voice_of(1.0)
    out = KnnVc(EngineOptions(threads=2), CheckedWeights()).convert(speech, voice_of(2.5, seed=1))
    assert out.shape == speech.shape and np.isfinite(out).all() and np.any(out)
