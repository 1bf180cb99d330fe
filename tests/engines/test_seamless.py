"""SeamlessM4T's two halves on whole tiny models: text by one engine, exactly that text spoken by the other."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from shared.core.errors import EngineError, UsageError
from shared.engines.protocols import EngineOptions, Line, SpeechRequest
from tests.engines import tiny_translation

pytest.importorskip("torch")
pytest.importorskip("transformers")


@pytest.fixture(scope="module", params=[1, 2])
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_translation.seamless(tmp_path_factory.mktemp("seamless") / f"v{request.param}", request.param)


@pytest.fixture(scope="module")
def speaker(folder: Path) -> Iterator[Any]:
    from services.dubbing.engines import seamless

    with pytest.MonkeyPatch.context() as patch:
        # Random models never end.
        patch.setattr(seamless, "UNITS", 2)
        yield seamless.SeamlessSynthesizer(EngineOptions(model=str(folder), threads=1), None)


def test_a_text_is_spoken_at_16_khz_the_same_each_time(speaker: Any) -> None:
    found = [speaker.synthesize(SpeechRequest("Hola, amigo. ¿Vale?", "es", "0", seed=seed)) for seed in (0, 1)]
    assert found[0].ndim == 1 and found[0].dtype == np.float32 and found[0].size > 100
    assert np.array_equal(*found) and np.isfinite(found[0]).all()
    other = speaker.synthesize(SpeechRequest("Hola, amigo. ¿Vale?", "es", "1"))
    assert other.shape != found[0].shape or not np.array_equal(other, found[0])


def test_it_speaks_the_given_text_and_no_other(speaker: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    model = speaker._loaded()
    kept = []
    decode = model.text_decoder.forward

    def keeping(*args: Any, **named: Any) -> Any:
        kept.append(named["input_ids"])
        return decode(*args, **named)

    monkeypatch.setattr(model.text_decoder, "forward", keeping)
    speaker.synthesize(SpeechRequest("Hola amigo", "es", "0"))
    said = speaker._tokenizer.decode(kept[-1][0].tolist(), skip_special_tokens=True)
    assert said.strip() == "Hola amigo"


def test_the_translation_is_spoken(folder: Path, speaker: Any) -> None:
    from services.translation.engines.families import SeamlessTranslator

    ((best,),) = SeamlessTranslator(EngineOptions(model=str(folder)), None).translate([Line("Hi.")], "en", "es", 1)
    if any(char.isalnum() for char in best.text):
        assert speaker.synthesize(SpeechRequest(best.text, "es", "0")).size


def test_voices_and_what_cannot_be_spoken(speaker: Any) -> None:
    assert [voice.id for voice in speaker.voices("es")] == ["0"] and speaker.voices("de") == []
    assert speaker.describe("2", "es").voice == "2"
    for voice in ("3", "anna"):
        with pytest.raises(UsageError):
            speaker.synthesize(SpeechRequest("Hola", "es", voice))
    for text, language, code in (("…", "es", "nothing_to_speak"), ("Hallo", "de", "unspeakable_language")):
        with pytest.raises(EngineError) as caught:
            speaker.synthesize(SpeechRequest(text, language, "0"))
        assert caught.value.code == code


def test_a_long_text_is_spoken_in_parts(speaker: Any) -> None:
    short = speaker.synthesize(SpeechRequest("Hola, amigo", "es", "0")).size
    assert speaker.synthesize(SpeechRequest("Hola, amigo, " * 20, "es", "0")).size > 2 * short
