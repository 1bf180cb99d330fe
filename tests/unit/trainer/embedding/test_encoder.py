"""An encoder gives what the model behind its checkpoint gives."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import counterdub
from shared.core.errors import CounterdubError
from tests.unit.trainer.embedding.conftest import write
from trainer.encoder import Encoder, load_encoder
from trainer.feed import Batch
from trainer.frontend.mel import MelFrontEnd
from trainer.model import Model, prepared
from trainer.recipe import TowerSettings, load_recipe
from trainer.towers import build_tower
from trainer.towers.published import PREFIX


def waves(count: int, samples: int) -> np.ndarray:
    return np.random.default_rng(0).normal(0, 0.1, (count, samples)).astype(np.float32)


def clips(count: int, frames: int = 8, size: int = 64) -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, (count, frames, size, size, 3), dtype=np.uint8)


def test_what_it_says_of_itself(run: Path, encoder: Encoder) -> None:
    (path,) = (run / "checkpoints").glob("step-*.pt")
    assert encoder.id == hashlib.sha256(path.read_bytes()).hexdigest()
    assert encoder.recipe == load_recipe("tiny-en")
    assert (encoder.sample_rate, encoder.seconds) == (48_000, 3.0)
    assert encoder.audio(waves(2, 144_000)).shape == (2, encoder.audio_size)
    assert encoder.video(clips(2)).shape == (2, encoder.video_size)
    assert encoder.audio(waves(2, 144_000)).dtype == encoder.video(clips(2)).dtype == np.float32


def test_heads_are_what_the_loss_saw(encoder: Encoder) -> None:
    recipe = load_recipe("tiny-en")
    torch.manual_seed(0)
    model = Model(recipe).eval()
    sound = np.round(waves(3, 144_000) * 32768).astype(np.int16)
    batch: Batch = {
        "audio_p": torch.from_numpy(sound[:, None]),
        "video_p": torch.from_numpy(clips(3)),
        "shot": torch.arange(3),
    }
    with torch.no_grad():
        seen = model(prepared(batch, MelFrontEnd(recipe.audio), torch.device("cpu"), None))
    audio = encoder.audio((sound / 32768).astype(np.float32), heads=True)
    video = encoder.video(clips(3), heads=True)
    np.testing.assert_allclose(audio, seen["a_p"].numpy(), atol=1e-6)
    np.testing.assert_allclose(video, seen["v_p"].numpy(), atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(audio, axis=1), 1, atol=1e-5)
    assert audio.shape == (3, encoder.head_size)


def test_short_sounds_are_filled_up_and_long_ones_cut(encoder: Encoder) -> None:
    wave = waves(1, 200_000)
    whole = encoder.audio(wave[:, :144_000])
    assert np.array_equal(encoder.audio(wave), whole)
    short = np.pad(wave[:, :50_000], ((0, 0), (0, 94_000)))
    assert np.array_equal(encoder.audio(wave[:, :50_000]), encoder.audio(short))
    assert not np.allclose(encoder.audio(short), whole)


def test_one_sound_a_list_and_other_types_are_the_same_sounds(encoder: Encoder) -> None:
    many = waves(2, 144_000)
    first, second = encoder.audio(many[:1]), encoder.audio(many[1:, :50_000])
    assert np.array_equal(encoder.audio(many[0]), first)
    in_a_list = encoder.audio([many[0], many[1, :50_000]])
    np.testing.assert_allclose(in_a_list, np.concatenate([first, second]), atol=1e-5)
    whole = np.round(many * 32768).astype(np.int16)
    assert np.array_equal(encoder.audio(whole), encoder.audio((whole / 32768).astype(np.float32)))
    assert np.array_equal(encoder.audio(many[:1].astype(np.float64)), first)


def test_another_sample_rate_is_resampled(encoder: Encoder) -> None:
    moment = np.arange(16_000 * 5) / 16_000
    tone = (0.3 * np.sin(2 * np.pi * 440 * moment)).astype(np.float32)
    high = (0.3 * np.sin(2 * np.pi * 440 * np.arange(48_000 * 5) / 48_000)).astype(np.float32)
    alike = encoder.audio(tone, sample_rate=16_000)
    assert np.abs(alike - encoder.audio(high)).max() < 0.05 * np.abs(alike - encoder.audio(tone)).max()
    assert np.array_equal(encoder.audio(high, sample_rate=48_000), encoder.audio(high))


@pytest.mark.parametrize(
    "wrong",
    [np.zeros((1, 2, 900), np.float32), np.zeros(9, np.int32), np.full(9, np.nan, np.float32), np.float32(0), ["a"]],
)
def test_what_is_no_sound_is_refused(encoder: Encoder, wrong: Any) -> None:
    with pytest.raises(CounterdubError) as caught:
        encoder.audio(wrong)
    assert caught.value.code == "bad_waves" and "[B, N]" in str(caught.value)


@pytest.mark.parametrize(
    "wrong",
    [
        clips(1, frames=7),
        clips(1, size=63),
        clips(1)[..., :2],
        clips(1).transpose(0, 4, 1, 2, 3),
        clips(1).astype(np.int32),
        clips(1).astype(np.float32),
        np.full((1, 8, 64, 64, 3), np.nan),
    ],
)
def test_what_is_no_clip_is_refused(encoder: Encoder, wrong: Any) -> None:
    with pytest.raises(CounterdubError) as caught:
        encoder.video(wrong)
    assert caught.value.code == "bad_clips" and "[B, 8, 64, 64, 3]" in str(caught.value)


def test_one_clip_needs_no_batch(encoder: Encoder) -> None:
    assert np.array_equal(encoder.video(clips(1)[0]), encoder.video(clips(1)))


def test_it_says_what_it_is(encoder: Encoder) -> None:
    said = repr(encoder)
    assert said.startswith(f"<Encoder tiny-en {encoder.id[:12]}: audio {encoder.audio_size}, ")
    assert said.endswith("3 s at 48000 Hz>")


def test_many_at_a_time_are_each_by_itself(encoder: Encoder) -> None:
    many = waves(70, 144_000)
    np.testing.assert_allclose(encoder.audio(many)[[0, 69]], encoder.audio(many[[0, 69]]), atol=1e-5)
    some = clips(9)
    np.testing.assert_allclose(encoder.video(some)[[8]], encoder.video(some[[8]]), atol=1e-5)
    assert encoder.audio(many[:0]).shape == (0, encoder.audio_size)


def test_clips_may_be_floats(encoder: Encoder) -> None:
    np.testing.assert_allclose(encoder.video(clips(1).astype(np.float32) / 255), encoder.video(clips(1)), atol=1e-5)


def test_a_moving_average_is_preferred_and_the_newest_checkpoint_taken(tmp_path: Path, encoder: Encoder) -> None:
    write(tmp_path, step=7, seed=5)
    write(tmp_path, step=12, averaged=True)
    averaged = load_encoder(tmp_path)
    assert averaged.id == load_encoder(tmp_path / "checkpoints" / "step-00000012.pt").id
    wave = waves(1, 144_000)
    weights = averaged._made.audio.parameters()
    assert all(torch.equal(p, q * 0.5) for p, q in zip(weights, encoder._made.audio.parameters(), strict=True))
    assert not np.allclose(averaged.audio(wave), encoder.audio(wave))


def test_without_a_tower(listener: Encoder) -> None:
    assert listener.video_size == 0
    with pytest.raises(CounterdubError, match="no tower for picture") as caught:
        listener.video(clips(1))
    assert caught.value.code == "no_tower"


def test_a_published_checkpoint_is_towers_without_heads(tmp_path: Path) -> None:
    torch.manual_seed(0)
    tower = build_tower(TowerSettings(kind="mvit", patches="nonoverlap"), "audio", channels=2)
    path = tmp_path / "published.pt"
    weights = {f"{PREFIX}audio.{key}": value for key, value in tower.state_dict().items()}
    torch.save({"model": weights}, path)
    encoder = counterdub.load_encoder(path)
    assert (encoder.audio_size, encoder.video_size, encoder.head_size) == (768, 0, 0)
    assert encoder.recipe.model.audio.patches == "nonoverlap" and encoder.recipe.audio.channels == 2
    with torch.no_grad():
        decibels = MelFrontEnd(encoder.recipe.audio)(torch.from_numpy(waves(1, 144_000)[:, None]))
        expected = tower.eval()(decibels).numpy()
    np.testing.assert_allclose(encoder.audio(waves(1, 144_000)), expected, atol=1e-5)
    with pytest.raises(CounterdubError) as caught:
        encoder.audio(waves(1, 144_000), heads=True)
    assert caught.value.code == "no_heads"
    weights.pop(f"{PREFIX}audio.norm.bias")
    torch.save({"model": weights}, path)
    with pytest.raises(CounterdubError, match=r"norm\.bias is missing"):
        counterdub.load_encoder(path)


def test_embedding_changes_nothing(encoder: Encoder) -> None:
    wave = waves(2, 144_000)
    before = {name: value.clone() for name, value in encoder._made.audio.state_dict().items()}
    assert np.array_equal(encoder.audio(wave), encoder.audio(wave))
    assert all(torch.equal(value, before[name]) for name, value in encoder._made.audio.state_dict().items())


def test_files_that_are_no_checkpoint(tmp_path: Path) -> None:
    def code(path: Path) -> str:
        with pytest.raises(CounterdubError) as caught:
            counterdub.load_encoder(path)
        assert str(tmp_path) not in caught.value.message
        return caught.value.code

    assert code(tmp_path / "nothing.pt") == "no_checkpoint"
    assert code(tmp_path) == "no_checkpoint"
    text = tmp_path / "text.pt"
    text.write_text("no weights")
    assert code(text) in {"not_a_checkpoint", "checkpoint_damaged"}
    good = write(tmp_path)
    broken = tmp_path / "broken.pt"
    broken.write_bytes(good.read_bytes()[:5000])
    assert code(broken) == "checkpoint_damaged"
    state = torch.load(good)
    state["model"].pop(next(iter(state["model"])))
    torch.save(state, tmp_path / "other.pt")
    assert code(tmp_path / "other.pt") == "other_model"
    with pytest.raises(CounterdubError) as caught:
        counterdub.load_encoder(good, "cuda:63")
    assert caught.value.code == "no_device"


def test_a_pickle_is_not_run(tmp_path: Path) -> None:
    class Harmful:
        def __reduce__(self) -> tuple[Any, ...]:
            return (open, (str(tmp_path / "harm"), "w"))

    torch.save({"model": Harmful()}, tmp_path / "evil.pt")
    with pytest.raises(CounterdubError) as caught:
        counterdub.load_encoder(tmp_path / "evil.pt")
    assert caught.value.code == "not_a_checkpoint"
    assert not (tmp_path / "harm").exists()
