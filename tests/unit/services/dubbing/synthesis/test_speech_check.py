"""Speech that goes on after its text is drawn anew, then spoken by another engine; the line's record says so."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

from services.dubbing.stage import STAGE, named_after, speaking_engines
from services.dubbing.synthesis.islands import Island
from services.dubbing.synthesis.line_synthesis import SpokenLine, Voicer
from services.dubbing.synthesis.speech_check import Fallback, Guard
from shared.core.errors import EngineError
from shared.core.records import CastMember, DubbedUtterance, Hypothesis, Speaker, read_jsonl
from shared.engines.protocols import Audio, Segment, SpeechRequest
from shared.pipeline.stage import Scope
from shared.settings.models import DubbingSettings, GuardSettings, Settings
from tests.unit.services.dubbing.stand_ins import FolderWork, Hummer, title, utterance

TEXT = "Hola amigo mío, ¿qué tal estás?"


class Babbler(Hummer):
    """Draws speech; with the seeds named it goes on for ``longer`` times the text."""

    name = "babbler"
    generative = True
    clones = True

    def __init__(self, bad: set[int], longer: float = 4.0) -> None:
        super().__init__(0.06)
        self.bad, self.longer = bad, longer
        self.seeds: list[int] = []

    def synthesize(self, request: SpeechRequest) -> Audio:
        self.seeds.append(request.seed)
        audio = super().synthesize(request)
        return np.tile(audio, int(self.longer)) if request.seed in self.bad else audio


class Listener:
    def __init__(self, *heard: str) -> None:
        self.heard = list(heard)

    def transcribe(self, audio: Audio, language: str | None) -> list[Segment]:
        return [Segment(self.heard.pop(0) if len(self.heard) > 1 else self.heard[0], [], -0.1, 0.0)]


def voicer(folder: Path, engine: Any, *, fallback: Any = None, listener: Any = None, **guard: Any) -> Voicer:
    settings = DubbingSettings(guard=GuardSettings(**guard))
    other = Fallback("hummer", fallback, fallback.voices("es")) if fallback else None
    return Voicer(engine, None, "es", settings, FolderWork(folder), Guard(settings.guard, "es", listener), other)


def line(text: str, voice: str = "bob", source: float = 2.0, slot: float = 3.0) -> SpokenLine:
    return SpokenLine((Hypothesis(text=text, score=0.0),), voice, (Island(0.0, source, slot),))


def speak(one: Voicer) -> Any:
    return one.speak(replace(line(TEXT, "clone"), reference=np.ones(16_000, np.float32), gender="male"))


def test_a_good_take_is_taken(tmp_path: Path) -> None:
    engine = Babbler(set())
    voiced = speak(voicer(tmp_path, engine))
    assert voiced.takes[0].note is None
    assert engine.seeds == [0]


def test_a_new_seed(tmp_path: Path) -> None:
    engine = Babbler({0, 1})
    one = voicer(tmp_path, engine)
    voiced = speak(one)
    assert voiced.takes[0].note is None
    assert engine.seeds == [0, 1, 2]
    assert cast(FolderWork, one.work).counters["takes_doubted"] == 2


def test_another_engine_and_a_word_about_it(tmp_path: Path) -> None:
    one = voicer(tmp_path, Babbler({0, 1, 2}), fallback=Hummer(0.06))
    voiced = speak(one)
    assert voiced.takes[0].note == "fallback: too_long"
    assert voiced.takes[0].voice == "hummer:bob"
    assert cast(FolderWork, one.work).counters["lines_by_fallback"] >= 1


def test_the_best_of_bad_ones(tmp_path: Path) -> None:
    voiced = speak(voicer(tmp_path, Babbler({0, 1, 2})))
    assert voiced.takes[0].note == "doubtful: too_long"


def test_other_words(tmp_path: Path) -> None:
    pytest.importorskip("jiwer")
    engine = Babbler(set())
    voiced = speak(voicer(tmp_path, engine, listener=Listener("algo muy distinto de todo eso", TEXT)))
    assert voiced.takes[0].note is None
    assert engine.seeds == [0, 1]


def test_too_short(tmp_path: Path) -> None:
    engine = Hummer(0.005)
    guard = Guard(GuardSettings(), "es")
    audio = engine.synthesize(SpeechRequest(TEXT, "es", "bob"))
    assert guard.doubt(TEXT, audio[: 24_000 // 5], 24_000, 2.0).why == "too_short"


def test_no_reference_falls_back_or_fails(tmp_path: Path) -> None:
    class Shy(Babbler):
        def synthesize(self, request: SpeechRequest) -> Audio:
            raise EngineError("Too little.", code="no_reference")

    assert speak(voicer(tmp_path, Shy(set()), fallback=Hummer(0.06))).takes[0].note == "fallback: no_reference"
    with pytest.raises(EngineError) as caught:
        speak(voicer(tmp_path, Shy(set())))
    assert caught.value.code == "no_reference"


def test_memory_used_up_falls_back(tmp_path: Path) -> None:
    class Large(Babbler):
        def synthesize(self, request: SpeechRequest) -> Audio:
            raise EngineError("Too little memory.", code="out_of_memory")

    assert speak(voicer(tmp_path, Large(set()), fallback=Hummer(0.06))).takes[0].note == "fallback: out_of_memory"
    with pytest.raises(EngineError) as caught:
        speak(voicer(tmp_path, Large(set())))
    assert caught.value.code == "out_of_memory"


def test_what_another_voice_takes_says_nothing_about_the_cast_voice(tmp_path: Path) -> None:
    """A fallback that speaks at a third of the tempo: the next line's first take is asked for as if it had not been."""
    usual = voicer(tmp_path, Babbler(set())).pace.seconds(TEXT, "clone")
    one = voicer(tmp_path, Babbler({0, 1, 2}), fallback=Hummer(0.2))
    assert speak(one).takes[0].voice == "hummer:bob"
    assert one.pace.seconds(TEXT, "clone") == usual
    assert one.pace.seconds(TEXT, "hummer:bob") > 1.3 * usual
    doubted = voicer(tmp_path, Babbler({0, 1, 2}))
    assert speak(doubted).takes[0].note == "doubtful: too_long"
    assert doubted.pace.seconds(TEXT, "clone") == usual


def test_the_record_says_so(tmp_path: Path) -> None:
    inputs = title(tmp_path, [utterance(1, 1.0, 3.0)], {"u0001": [TEXT]}, voice="clone")
    settings = DubbingSettings(engine="babbler", guard=GuardSettings(fallback="hummer"))
    engines = {"synthesizer": Babbler({0, 1, 2}), "fallback": Hummer(0.06)}
    out = STAGE.run(Scope("es", 0), inputs, settings, engines, FolderWork(tmp_path))
    (record,) = read_jsonl(out["dubbed.jsonl"], DubbedUtterance)
    assert record.status == "ok"
    assert record.reason == "fallback: too_long"
    assert record.voice == "hummer:bob"


def test_a_converter_without_a_reference_leaves_the_line(tmp_path: Path) -> None:
    class Converter:
        sample_rate = 16_000

        def convert(self, speech: Audio, reference: Audio) -> Audio:
            raise EngineError("Too little.", code="no_reference")

    one = Voicer(Hummer(0.06), Converter(), "es", DubbingSettings(), FolderWork(tmp_path))
    assert speak(one).takes[0].note == "not_converted: no_reference"


def test_lines_in_batches(tmp_path: Path) -> None:
    class Choir(Hummer):
        together = 2

        def __init__(self) -> None:
            super().__init__(0.06)
            self.batches: list[int] = []

        def synthesize_batch(self, requests: Any) -> list[Audio]:
            self.batches.append(len(requests))
            return [self.synthesize(one) for one in requests]

    def all_lines(engine: Any, folder: Path, announced: bool) -> list[Any]:
        folder.mkdir()
        one = Voicer(engine, None, "es", DubbingSettings(), FolderWork(folder))
        said = [line(f"{TEXT} {number}") for number in range(10)]
        if announced:
            one.announce(said)
        return [one.speak(each) for each in said]

    engine = Choir()
    voiced = all_lines(engine, tmp_path / "a", announced=True)
    assert engine.batches == [8, 2]
    assert [one.text for one in voiced] == [f"{TEXT} {number}" for number in range(10)]
    plain = all_lines(Choir(), tmp_path / "b", announced=False)
    np.testing.assert_array_equal(voiced[0].audio, plain[0].audio)


def test_a_line_that_breaks_the_batch_breaks_alone(tmp_path: Path) -> None:
    class Choir(Hummer):
        together = 4

        def synthesize_batch(self, requests: Any) -> list[Audio]:
            raise EngineError("One of them.", code="engine_failed")

    one = Voicer(Choir(0.06), None, "es", DubbingSettings(), FolderWork(tmp_path))
    said = [line(f"{TEXT} {number}") for number in range(3)]
    one.announce(said)
    for each in said:
        assert one.speak(each).audio.size


@pytest.mark.parametrize("fault", [RuntimeError("cuda"), ValueError("shape"), IndexError(), ZeroDivisionError()])
def test_whatever_a_batch_throws_breaks_no_line(tmp_path: Path, fault: Exception) -> None:
    class Choir(Hummer):
        together = 4

        def synthesize_batch(self, requests: Any) -> list[Audio]:
            raise fault

    one = Voicer(Choir(0.06), None, "es", DubbingSettings(), FolderWork(tmp_path))
    said = [line(f"{TEXT} {number}") for number in range(3)]
    one.announce(said)
    for each in said:
        assert one.speak(each).audio.size


def test_a_line_that_cannot_be_announced_fails_alone(tmp_path: Path) -> None:
    """Nothing can be said in no time: the line fails when it is its turn, the others are spoken in their batch."""

    class Choir(Hummer):
        together = 4

        def synthesize_batch(self, requests: Any) -> list[Audio]:
            return [self.synthesize(one) for one in requests]

    one = Voicer(Choir(0.06), None, "es", DubbingSettings(), FolderWork(tmp_path))
    good, bad = line(TEXT), line(TEXT + "!", source=0.0, slot=0.0)
    one.announce([good, bad])
    assert one.speak(good).audio.size
    with pytest.raises((ArithmeticError, ValueError)):
        one.speak(bad)


def test_what_is_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.dubbing.stage.engine_class", lambda kind, name: Babbler)
    settings = Settings.model_validate(
        {"dubbing": {"engine": "babbler", "extra": {"dtype": "float16"}, "guard": {"recognizer": "r", "fallback": "k"}}}
    )
    uses = speaking_engines(settings, Scope("es", 0))
    assert {role: (use.kind, use.name) for role, use in uses.items()} == {
        "synthesizer": ("synthesizer", "babbler"),
        "recognizer": ("recognizer", "r"),
        "fallback": ("synthesizer", "k"),
    }
    assert uses["synthesizer"].options.extra == {"dtype": "float16"}


def test_a_cloned_voice_has_its_speakers_gender() -> None:
    people = [Speaker(id="S1", embedding=[1.0], median_f0_hz=110.0, seconds=1.0)]
    cast = [CastMember(speaker="S1", language="es", voice="clone", gender="female", native=True)]
    assert named_after(people, cast, {"clone"})[0].gender == "male"
    assert named_after(people, cast, set())[0].gender == "female"
