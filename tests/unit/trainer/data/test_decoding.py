"""Windows against the plain way: decode everything, then cut."""

from __future__ import annotations

import io
from collections.abc import Iterator

import av
import numpy as np
import pytest
import soundfile as sf
import soxr
from PIL import Image

from shared.core.errors import CounterdubError
from trainer.data.picture import ShotWindow, crop_of, decode_windows
from trainer.data.sound import decode_window
from trainer.shards.encoding import encode_picture, encode_sound

WIDTH, HEIGHT, FRAMES = 160, 96, 110


@pytest.fixture(scope="module")
def picture() -> bytes:
    """A smooth pattern that moves a little with every frame."""
    across, down = np.meshgrid(np.arange(WIDTH), np.arange(HEIGHT))

    def frames() -> Iterator[av.VideoFrame]:
        for tick in range(FRAMES):
            waves = [np.sin((across * a + down * b + 5 * tick) / 18) for a, b in ((1, 0), (0, 1), (1, 1))]
            image = (127 + 110 * np.stack(waves, -1)).astype(np.uint8)
            yield av.VideoFrame.from_ndarray(image, format="rgb24")

    return encode_picture(frames())


@pytest.fixture(scope="module")
def plain(picture: bytes) -> list[np.ndarray]:
    with av.open(io.BytesIO(picture), "r") as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


@pytest.mark.parametrize("ticks", [[0], [109], [3, 4, 5], [20, 24, 25, 26, 70], [7, 7, 7, 60]])
def test_the_very_frames_that_were_asked_for(picture: bytes, plain: list[np.ndarray], ticks: list[int]) -> None:
    window = ShotWindow(np.array(ticks), HEIGHT, (0.0, 0.0))
    (found,) = decode_windows(picture, [window], HEIGHT)
    for tick, image in zip(ticks, found, strict=True):
        errors = [np.abs(image.astype(int) - other[:, :HEIGHT]).mean() for other in plain]
        assert int(np.argmin(errors)) == tick and errors[tick] < 1.5


def test_both_windows_are_as_if_decoded_alone(picture: bytes) -> None:
    first = ShotWindow(np.arange(5, 80, 5), 100, (0.3, 0.8))
    second = ShotWindow(np.arange(31, 106, 5), 80, (1.0, 0.0))
    both = decode_windows(picture, [first, second], 64)
    for window, found in zip((first, second), both, strict=True):
        np.testing.assert_array_equal(found, decode_windows(picture, [window], 64)[0])


@pytest.mark.parametrize(
    ("short_side", "place"), [(48, (0.5, 0.5)), (64, (0.0, 1.0)), (120, (0.7, 0.2)), (30, (0.5, 0))]
)
def test_crop_first_shows_what_scaling_first_shows(
    picture: bytes, plain: list[np.ndarray], short_side: int, place: tuple[float, float]
) -> None:
    size = 48
    (found,) = decode_windows(picture, [ShotWindow(np.array([40]), short_side, place)], size)
    side = max(short_side, size)
    whole = Image.fromarray(plain[40]).resize((round(WIDTH * side / HEIGHT), side), Image.Resampling.BILINEAR)
    x, y = (round(share * (length - size)) for share, length in zip(place, whole.size, strict=True))
    wanted = np.asarray(whole.crop((x, y, x + size, y + size))).astype(int)
    assert np.abs(found[0] - wanted).mean() < 6


def test_crops_stay_inside() -> None:
    for place in ((0.0, 0.0), (1.0, 1.0), (0.37, 0.91)):
        for width, height in ((569, 321), (320, 180), (180, 320), (224, 224)):
            crop = crop_of(width, height, ShotWindow(np.zeros(1), 256, place), 224)
            assert crop.x % 2 == crop.y % 2 == crop.side % 2 == 0
            assert 0 <= crop.x <= width - crop.side and 0 <= crop.y <= height - crop.side


@pytest.mark.parametrize("damage", ["empty", "cut", "noise", "beyond"])
def test_broken_pictures_say_so(picture: bytes, damage: str) -> None:
    data = {"empty": b"", "cut": picture[: len(picture) // 2], "noise": bytes(5000), "beyond": picture}[damage]
    with pytest.raises(CounterdubError) as broken:
        decode_windows(data, [ShotWindow(np.array([50, 200 if damage == "beyond" else 60]), 96, (0, 0))], 96)
    assert broken.value.code == "bad_picture"


def test_sound_to_the_sample() -> None:
    wave = np.random.default_rng(0).uniform(-0.9, 0.9, (2, 200_000)).astype(np.float32)
    data = encode_sound(wave)
    whole, _ = sf.read(io.BytesIO(data), dtype="int16")
    for start, count in ((0, 1000), (12_345, 144_000), (56_000, 144_000)):
        np.testing.assert_array_equal(decode_window(data, start, count, 2), whole[start : start + count].T)
    mono = decode_window(data, 5, 100, 1)
    np.testing.assert_array_equal(mono[0], np.rint(whole[5:105].mean(1, dtype=np.float32)))
    doubled = decode_window(encode_sound(wave[:1]), 0, 100, 2)
    np.testing.assert_array_equal(doubled[0], doubled[1])
    lower = decode_window(data, 0, 144_000, 2, 16_000)
    assert lower.shape == (2, 48_000) and lower.dtype == np.int16
    np.testing.assert_array_equal(lower.T, soxr.resample(whole[:144_000], 48_000, 16_000))


@pytest.mark.parametrize(("data", "code"), [(b"fLaC", "bad_sound"), (None, "short_sound")])
def test_broken_sound_says_so(data: bytes | None, code: str) -> None:
    data = encode_sound(np.zeros((1, 1000), np.float32)) if data is None else data
    with pytest.raises(CounterdubError) as broken:
        decode_window(data, 500, 1000, 1)
    assert broken.value.code == code
