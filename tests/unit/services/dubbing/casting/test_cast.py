"""Casting: gender, likeness, one voice a person within and across titles, and a user's own choice."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from services.dubbing.casting.cast import Candidate, candidates, cast, gender_of
from services.dubbing.engines.kokoro.engine import KokoroSynthesizer, voice_table
from services.dubbing.stage import CAST
from shared.core.errors import UsageError
from shared.core.records import CastMember, Speaker, read_list, write_list
from shared.pipeline.stage import Scope
from shared.settings.models import DubbingSettings
from tests.unit.services.dubbing.stand_ins import FolderWork, Hummer

SIZE = 8


def unit(*weights: tuple[int, float]) -> np.ndarray:
    out = np.zeros(SIZE)
    for index, weight in weights:
        out[index] = weight
    return out / np.linalg.norm(out)


def speaker(name: str, vector: np.ndarray, **values: object) -> Speaker:
    return Speaker.model_validate({"id": name, "embedding": vector.tolist(), "seconds": 5.0, **values})


def by_speaker(members: list[CastMember]) -> dict[str, str]:
    return {member.speaker: member.voice for member in members}


VOICES = [
    Candidate("f1", "female", True, unit((0, 1))),
    Candidate("m1", "male", True, unit((1, 1))),
    Candidate("m2", "male", True, unit((2, 1))),
    Candidate("m3", "male", False, unit((3, 1))),
]


def test_gender_goes_before_likeness() -> None:
    man = speaker("S1", unit((0, 1)), gender="male")
    (member,) = cast([man], "es", VOICES, fixed={}, previous=[], same_person=0.8)
    assert member.gender == "male" and member.native


def test_gender_is_told_by_pitch_when_it_is_not_given() -> None:
    assert gender_of(speaker("S1", unit((0, 1)), median_f0_hz=110)) == "male"
    assert gender_of(speaker("S1", unit((0, 1)), median_f0_hz=220)) == "female"
    assert gender_of(speaker("S1", unit((0, 1)))) is None


def test_different_people_get_different_voices_with_the_best_total_likeness() -> None:
    one = speaker("S1", unit((1, 1), (2, 0.9)), gender="male")
    two = speaker("S2", unit((1, 1), (2, 0.1)), gender="male")
    assert by_speaker(cast([one, two], "es", VOICES, fixed={}, previous=[], same_person=0.8)) == {
        "S1": "m2",
        "S2": "m1",
    }


def test_voices_are_shared_only_when_there_are_none_left() -> None:
    crowd = [speaker(f"S{n}", unit((1, 1)), gender="male") for n in range(5)]
    voices = [member.voice for member in cast(crowd, "es", VOICES, fixed={}, previous=[], same_person=0.8)]
    assert len(voices) == 5 and {"m1", "m2", "m3"} <= set(voices) and "f1" not in voices


def test_a_voice_of_another_language_is_never_unsaid() -> None:
    foreign = [Candidate("x", "male", False)]
    assert cast([speaker("S1", unit((1, 1)))], "de", foreign, fixed={}, previous=[], same_person=0.8)[0].native is False


def test_the_same_person_keeps_the_voice_in_a_later_title() -> None:
    before = cast([speaker("S1", unit((1, 1)), gender="male")], "es", VOICES, fixed={}, previous=[], same_person=0.8)
    again = speaker("S2", unit((1, 1), (2, 0.3)), gender="male")
    other = speaker("S1", unit((1, 0.7), (2, 1)), gender="male")
    members = cast([other, again], "es", VOICES, fixed={}, previous=before, same_person=0.8)
    assert by_speaker(members) == {"S1": "m2", "S2": "m1"}


def test_the_cast_accumulates_over_titles() -> None:
    before = cast([speaker("S1", unit((0, 1)), gender="female")], "es", VOICES, fixed={}, previous=[], same_person=0.8)
    middle = cast(
        [speaker("S1", unit((1, 1)), gender="male")], "es", VOICES, fixed={}, previous=before, same_person=0.8
    )
    assert [member.voice for member in middle] == ["m1", "f1"]
    after = cast(
        [speaker("S1", unit((0, 1)), gender="female")], "es", VOICES, fixed={}, previous=middle, same_person=0.8
    )
    assert [member.voice for member in after] == ["f1", "m1"]


class Table(KokoroSynthesizer):
    """Kokoro's voices without its weights."""

    def __init__(self) -> None:
        pass


def run(
    folder: Path, people: list[Speaker], settings: DubbingSettings, engine: object, language: str = "es"
) -> list[CastMember]:
    inputs = {"speakers.json": write_list(folder / "speakers.json", people)}
    out = CAST.run(Scope(language=language), inputs, settings, {"synthesizer": engine}, FolderWork(folder))
    return read_list(out["cast.json"], CastMember)


def test_a_user_chooses_by_speaker_and_by_language(tmp_path: Path) -> None:
    people = [speaker("S1", unit((1, 1))), speaker("S2", unit((2, 1)))]
    settings = DubbingSettings(voices={"S1": "em_santa", "es:S1": "ef_dora", "S2": "em_alex*0.6+em_santa*0.4"})
    members = run(tmp_path, people, settings, Table())
    assert by_speaker(members) == {"S1": "ef_dora", "S2": "em_alex*0.6+em_santa*0.4"}
    assert all(member.native for member in members)
    french = run(tmp_path, people, settings, Table(), "fr")
    assert french[0].voice == "em_santa" and not french[0].native


@pytest.mark.parametrize("voice", ["nobody", "em_alex*x", "em_alex*-1+em_santa*2", "em_alex/nobody", "", "em_alex*0"])
def test_an_unknown_voice_is_refused(tmp_path: Path, voice: str) -> None:
    with pytest.raises(UsageError) as caught:
        run(tmp_path, [speaker("S1", unit((1, 1)))], DubbingSettings(voices={"S1": voice}), Table())
    assert caught.value.code == "unknown_voice"
    with pytest.raises(UsageError):
        run(tmp_path, [speaker("S1", unit((1, 1)))], DubbingSettings(voices={"S1": voice}), Hummer())


def test_a_language_that_cannot_be_spoken_is_refused(tmp_path: Path) -> None:
    for engine, language in ((Hummer(), "xx"), (Table(), "zh")):
        with pytest.raises(UsageError) as caught:
            run(tmp_path, [speaker("S1", unit((1, 1)))], DubbingSettings(), engine, language)
        assert caught.value.code == "no_voice"


def test_engines_without_a_table_are_cast_by_gender_and_language() -> None:
    voices = candidates(Hummer(), "es", comparable=True)
    (member,) = cast([speaker("S1", unit((1, 1)), gender="male")], "es", voices, fixed={}, previous=[], same_person=0.8)
    assert (member.voice, member.native, member.similarity) == ("bob", True, None)


@pytest.mark.parametrize("language", ["es", "fr", "it", "pt", "ja", "en", "hi", "de"])
def test_kokoro_offers_both_genders_and_native_voices_where_there_are(language: str) -> None:
    voices = Table().candidates(language)
    assert {voice.gender for voice in voices} == {"female", "male"}
    assert any(voice.native for voice in voices) == (language != "de")
    assert len({voice.voice for voice in voices}) == len(voices) == 54


def test_the_likeness_of_real_voices_decides(tmp_path: Path) -> None:
    me = speaker("S1", voice_table()["am_onyx"], gender="male")
    (member,) = run(tmp_path, [me], DubbingSettings(), Table())
    assert member.voice == "am_onyx*0.5+em_alex*0.5/em_alex" and member.similarity is not None
    assert member.similarity > 0.7
