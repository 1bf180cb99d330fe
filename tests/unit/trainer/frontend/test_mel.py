"""Waves to decibels: the arithmetic, the channels, the masks."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from trainer.frontend.mel import MelFrontEnd, frames_of, masked, mel_filters
from trainer.recipe import AudioSettings

SETTINGS = AudioSettings()


def noise(shots: int = 2, channels: int = 1, seconds: float = 3.0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(6)
    return torch.randn(shots, channels, int(48_000 * seconds), generator=generator) * 0.1


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_three_seconds_are_96_by_288() -> None:
    assert frames_of(SETTINGS) == 288
    assert MelFrontEnd(SETTINGS)(noise()).shape == (2, 1, 96, 288)


def test_a_frame_is_what_numpy_says() -> None:
    wave = noise(1)
    made = MelFrontEnd(SETTINGS)(wave)[0, 0, :, 100].numpy()
    piece = wave[0, 0].double().numpy()[100 * 501 - 512 : 100 * 501 + 512]
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(1024) / 1024)
    power = np.abs(np.fft.rfft(piece * window)) ** 2
    np.testing.assert_allclose(made, 10 * np.log10(power @ mel_filters(48_000, 1024, 96)), atol=1e-3)


def test_silence_is_at_the_floor() -> None:
    assert MelFrontEnd(SETTINGS)(torch.zeros(1, 1, 144_000, dtype=torch.int16)).unique().tolist() == [-100.0]


def test_int16_is_the_wave_scaled() -> None:
    whole = (noise() * 20_000).to(torch.int16)
    front = MelFrontEnd(SETTINGS)
    torch.testing.assert_close(front(whole), front(whole.float() / 32_768))


def test_one_channel_is_doubled_and_two_are_averaged() -> None:
    wave = noise(channels=2)
    stereo, mono = MelFrontEnd(SETTINGS.model_copy(update={"channels": 2})), MelFrontEnd(SETTINGS)
    doubled = stereo(wave[:, :1])
    assert torch.equal(doubled[:, 0], doubled[:, 1])
    assert not torch.equal(*stereo(wave).unbind(1))
    torch.testing.assert_close(mono(wave), mono(wave.mean(1, keepdim=True)))


def test_power_mels_go_the_same_way() -> None:
    front = MelFrontEnd(SETTINGS)
    power = front.power(noise())
    assert torch.equal(front(power, generator()), front(noise(), generator()))
    with pytest.raises(ValueError, match="2 channels where 1"):
        front(power.expand(-1, 2, -1, -1))


def test_masks_repeat_with_their_generator_and_go_on_from_its_state() -> None:
    front, wave, source = MelFrontEnd(SETTINGS), noise(), generator()
    first = front(wave, source)
    state = source.get_state()
    second = front(wave, source)
    assert not torch.equal(first, second)
    assert torch.equal(front(wave, generator()), first)
    source.set_state(state)
    assert torch.equal(front(wave, source), second)
    assert not torch.equal(front(wave), first)


@pytest.mark.parametrize(("time", "frequency"), [(0.5, 0.0), (0.0, 0.3), (1.0, 1.0)])
def test_masks_are_one_run_of_at_most_the_share(time: float, frequency: float) -> None:
    decibels = torch.arange(40.0 * 60).reshape(1, 1, 40, 60).repeat(500, 1, 1, 1)
    hidden = masked(decibels, time, frequency, generator()) == decibels.mean()
    for axis, share, length in ((2, time, 60), (1, frequency, 40)):
        along = hidden[:, 0].all(3 - axis)
        widths = along.sum(1)
        if time == 0 or frequency == 0:
            starts = (along.int().diff(dim=1, prepend=torch.zeros(500, 1, dtype=torch.int)) == 1).sum(1)
            assert torch.equal(starts, (widths > 0).int())
            assert widths.max() == int(share * length), "the largest share comes up"
            assert abs(widths.float().mean() - share * length / 2) < 1.5, "widths are uniform"
    if frequency == 0:
        covered = hidden[:, 0, 0].float().mean(0)
        assert covered[20:40].mean() > covered[:5].mean(), "runs lie anywhere within the sound"


def test_channels_share_masks_and_samples_do_not() -> None:
    front = MelFrontEnd(SETTINGS.model_copy(update={"channels": 2}))
    doubled = front(noise(1).repeat(8, 1, 1), generator())
    assert torch.equal(doubled[:, 0], doubled[:, 1])
    assert len({tuple(sample[0, :, 0].tolist()) for sample in doubled}) > 1


def test_half_precision_around_it_does_not_reach_it() -> None:
    front, wave = MelFrontEnd(SETTINGS), noise()
    with torch.autocast("cpu", torch.bfloat16):
        half = front(wave)
    assert torch.equal(half, front(wave))
