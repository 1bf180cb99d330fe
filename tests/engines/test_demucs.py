"""Demucs: the library's own numbers, its files and their hashes, batches, blocks."""

from __future__ import annotations

import builtins
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from services.separation.engines import demucs as engine_module
from services.separation.engines import demucs_weights
from services.separation.engines.demucs import Demucs
from shared.core.errors import EngineError
from shared.engines.protocols import EngineOptions
from shared.weights.hub_models import hub_model
from shared.weights.hub_pull import pull_hub
from tests.conftest import ROOT
from tests.engines.contract_separator import noise
from tests.unit.shared.weights.stand_in_hub import serve_hub

RATE = 44_100


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    pytest.importorskip("demucs")
    from tests.engines.tiny_separation import checkpoints

    return checkpoints(tmp_path_factory.mktemp("demucs"))


def options(place: Path | str, **extra: Any) -> EngineOptions:
    return EngineOptions(model=str(place), threads=1, extra=extra)


@pytest.mark.parametrize("name", ["htdemucs", "htdemucs_ft", "mdx_extra"])
@pytest.mark.parametrize("seconds", [0.3, 2.0, 5.1])
def test_it_equals_the_librarys_own_way(places: dict[str, Path], name: str, seconds: float, weights: Any) -> None:
    import torch
    from demucs.apply import apply_model

    audio = np.random.default_rng(1).standard_normal((2, round(seconds * RATE))).astype(np.float32)
    whole = demucs_weights.load(options(places[name]))
    with torch.no_grad():
        wanted = apply_model(whole, torch.from_numpy(audio)[None], shifts=0, overlap=0.25)[0, 3].numpy()
    assert np.abs(wanted).max() > 1e-3
    found = Demucs(options(places[name]), weights).at_own_rate(audio)
    assert np.abs(found - wanted).max() < 1e-5


def test_only_networks_that_hear_voices_are_run(places: dict[str, Path], weights: Any) -> None:
    assert len(Demucs(options(places["htdemucs_ft"]), weights)._members) == 1
    assert len(Demucs(options(places["mdx_extra"]), weights)._members) == 2


def test_the_hubs_copy_is_found_where_it_was_pulled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Named by its commit; released files are taken before it, and named by their hash."""
    pytest.importorskip("demucs")
    from demucs import hf
    from huggingface_hub import constants

    from tests.engines.tiny_separation import networks, save_safe

    repos = {name: f"{hf.DEFAULT_NAMESPACE}/{hf.hf_repo_name(name)}" for name in demucs_weights.RELEASED.files}
    assert repos == demucs_weights.REPOSITORIES
    monkeypatch.setenv("COUNTERDUB_MODELS", str(tmp_path / "models"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    wanted = options("htdemucs")
    assert Demucs.absent(wanted, "es") and Demucs.repositories(wanted, "es") == ("adefossez/HTDemucs",)
    with serve_hub(tmp_path / "hub") as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        file = save_safe(networks()["aaaa0001"], "955717e8", tmp_path)
        bag = b"models: ['955717e8']\n"
        sha = hub.commit("adefossez/HTDemucs", {file.name: file.read_bytes(), "htdemucs.yaml": bag})
        pull_hub(hub_model("adefossez/HTDemucs"))
    assert Demucs.absent(wanted, "es") == () and Demucs.digests(wanted) == {"adefossez/HTDemucs": sha}
    assert len(demucs_weights.load(wanted).models) == 1
    (tmp_path / "models/demucs").mkdir()
    (tmp_path / "models/demucs/955717e8-8726e21a.th").touch()
    assert Demucs.digests(wanted) == {"955717e8-8726e21a": "8726e21a"}


def test_batches_do_not_change_the_result(places: dict[str, Path], weights: Any) -> None:
    mix = noise(2, 400_001)
    single, many = (Demucs(options(places["htdemucs"], batch_size=size), weights).vocals(mix) for size in (1, 4))
    assert np.abs(single - many).max() < 1e-5


def test_a_batch_too_large_for_the_memory_is_halved(places: dict[str, Path], weights: Any) -> None:
    engine, sizes = Demucs(options(places["htdemucs"], batch_size=4), weights), []
    run = engine._batched

    def scarce(member: Any, audio: np.ndarray, offsets: list[int]) -> list[np.ndarray]:
        sizes.append(len(offsets))
        if len(offsets) > 1:
            raise RuntimeError("CUDA out of memory.")
        return run(member, audio, offsets)

    mix = noise(2, 200_000)
    wanted = engine.vocals(mix)
    engine._batched = scarce  # type: ignore[method-assign]
    assert np.abs(engine.vocals(mix) - wanted).max() < 1e-5
    assert sizes[:3] == [3, 1, 1]


def test_long_input_goes_block_by_block(places: dict[str, Path], weights: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = Demucs(options(places["htdemucs"]), weights)
    engine.at_own_rate = lambda audio: 0.5 * audio  # type: ignore[method-assign]
    longest, whole = [0], engine._separate

    def watched(part: np.ndarray) -> np.ndarray:
        longest.append(part.shape[1])
        return whole(part)

    monkeypatch.setattr(engine, "_separate", watched)
    monkeypatch.setattr(engine_module, "LONGEST", 16 * 48_000)
    times = np.arange(40 * 48_000 + 11) / 48_000
    mix = np.stack([0.1 * np.sin(2 * np.pi * hz * times) for hz in (200, 310)]).astype(np.float32)
    found = engine.vocals(mix)
    assert len(longest) > 4 and max(longest) <= 16 * 48_000
    assert np.abs(found - 0.5 * mix)[:, 4_800:-4_800].max() < 1e-4


@pytest.mark.slow
def test_an_hour_needs_no_more_memory_than_ten_minutes(tmp_path: Path) -> None:
    pytest.importorskip("demucs")
    peaks = {}
    for minutes in (10, 60):
        command = [sys.executable, "-m", "tests.engines.long_separation", str(minutes), str(tmp_path)]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        peaks[minutes] = int(done.stdout.split()[-1])
    print(f"peak at 10 min {peaks[10] / 1024:.0f} MB, at 60 min {peaks[60] / 1024:.0f} MB")
    assert peaks[60] < 1.1 * peaks[10]


def test_released_names_are_those_of_the_library() -> None:
    pytest.importorskip("demucs")
    import yaml
    from demucs import pretrained

    listed = (pretrained.REMOTE_ROOT / "files.txt").read_text()
    for name, files in demucs_weights.RELEASED.files.items():
        assert [file.partition("-")[0] for file in files] == yaml.safe_load(
            (pretrained.REMOTE_ROOT / f"{name}.yaml").read_text()
        )["models"]
        assert all(f"{file}.th" in listed for file in files)


def test_weights_are_named_by_their_hashes(places: dict[str, Path], tmp_path: Path) -> None:
    assert Demucs.digests(EngineOptions()) == {"955717e8-8726e21a": "8726e21a"}
    assert Demucs.digests(options(places["htdemucs"])) != Demucs.digests(options(places["mdx_extra"]))
    assert Demucs.digests(options(places["htdemucs"])) == Demucs.digests(options(places["htdemucs"]))


def test_a_single_file_and_the_hubs_format(places: dict[str, Path], tmp_path: Path, weights: Any) -> None:
    from tests.engines.tiny_separation import bag, networks, save_safe

    mix = noise(2, 60_000)
    wanted = Demucs(options(places["htdemucs"]), weights).vocals(mix)
    (single,) = places["htdemucs"].glob("*.th")
    assert np.array_equal(Demucs(options(single), weights).vocals(mix), wanted)
    save_safe(networks()["aaaa0001"], "aaaa0001", tmp_path)
    bag(tmp_path, "mine", "models: ['aaaa0001']\n")
    assert np.abs(Demucs(options(tmp_path), weights).vocals(mix) - wanted).max() < 1e-3  # half against full weights


def test_a_damaged_file_is_refused(places: dict[str, Path], tmp_path: Path, weights: Any) -> None:
    (single,) = places["htdemucs"].glob("*.th")
    (tmp_path / single.name).write_bytes(single.read_bytes() + b"x")
    with pytest.raises(EngineError) as error:
        Demucs(options(tmp_path), weights)
    assert error.value.code == "weights_damaged"


@pytest.mark.parametrize(
    "model, code",
    [("htdemucs", "weights_missing"), ("nothing", "unknown_model"), ("/nowhere/at/all", "weights_missing")],
)
def test_what_is_not_there_is_said(
    model: str, code: str, weights: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("demucs")
    monkeypatch.setenv("COUNTERDUB_MODELS", str(tmp_path))
    with pytest.raises(EngineError) as error:
        Demucs(options(model), weights)
    assert error.value.code == code
    assert str(tmp_path) not in error.value.message


def test_released_files_are_found_in_the_folder_of_models(
    places: dict[str, Path], weights: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The bags come with the library; the tiny networks stand in under the released signatures."""
    from tests.engines.tiny_separation import networks, save

    monkeypatch.setenv("COUNTERDUB_MODELS", str(tmp_path))
    (tmp_path / "demucs").mkdir()
    saved = save(networks()["aaaa0001"], "955717e8", tmp_path / "demucs")
    monkeypatch.setitem(demucs_weights.RELEASED.files, "htdemucs", (saved.stem,))
    mix = noise(2, 60_000)
    wanted = Demucs(options(places["htdemucs"]), weights).vocals(mix)
    assert np.array_equal(Demucs(EngineOptions(threads=1), weights).vocals(mix), wanted)


def test_a_missing_package_is_said(monkeypatch: pytest.MonkeyPatch, weights: Any) -> None:
    imported = builtins.__import__

    def without(name: str, *rest: Any, **more: Any) -> Any:
        if name.partition(".")[0] == "demucs":
            raise ModuleNotFoundError("No module named 'demucs'", name="demucs")
        return imported(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(EngineError) as error:
        Demucs(EngineOptions(), weights)
    assert error.value.code == "engine_missing" and error.value.details["package"] == "demucs"


def test_a_quantised_model(places: dict[str, Path], tmp_path: Path, weights: Any) -> None:
    """As ``mdx_extra_q``: weights packed by diffq, or word that diffq is absent."""
    import torch

    from tests.engines.tiny_separation import networks

    network = networks()["bbbb0001"]
    path = tmp_path / "dddd0001.th"
    try:
        from diffq import UniformQuantizer
    except ImportError:
        state: dict[str, Any] = {"__quantized": True}
    else:
        quantizer = UniformQuantizer(network, bits=8, min_size=0.01)
        quantizer.bits = 8  # as the packing takes it; what is read does not depend on it
        state = quantizer.get_quantized_state()
        state["__quantized"] = True
    args, kwargs = network._init_args_kwargs
    torch.save({"klass": type(network), "args": args, "kwargs": kwargs, "state": state}, path)
    if len(state) == 1:
        with pytest.raises(EngineError) as error:
            Demucs(options(path), weights)
        assert error.value.code == "engine_missing" and error.value.details["package"] == "diffq"
    else:
        assert np.isfinite(Demucs(options(path), weights).vocals(noise(2, 60_000))).all()


@pytest.mark.parametrize("dtype", ["bfloat16"])
def test_half_precision_is_near(places: dict[str, Path], weights: Any, dtype: str) -> None:
    mix = noise(2, 96_000)
    full = Demucs(options(places["htdemucs"]), weights).vocals(mix)
    half = Demucs(options(places["htdemucs"], dtype=dtype), weights).vocals(mix)
    assert np.sum((half - full) ** 2) < 0.01 * np.sum(full**2)


@pytest.mark.gpu
def test_on_a_graphics_card(places: dict[str, Path], weights: Any) -> None:
    mix = noise(2, 300_000)
    wanted = Demucs(options(places["htdemucs"]), weights).vocals(mix)
    card = EngineOptions(model=str(places["htdemucs"]), device="cuda")
    assert np.abs(Demucs(card, weights).vocals(mix) - wanted).max() < 1e-3
