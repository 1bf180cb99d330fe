"""Voices made for one speaker: what is proposed, what is heard, what is kept."""

from __future__ import annotations

import hashlib
from importlib import resources
from pathlib import Path

import numpy as np
import pytest

from services.dubbing.casting.cast import Candidate, gender_heard
from services.dubbing.casting.voice_search import TakenVoices, refine
from services.dubbing.engines.kokoro.engine import PROBES, KokoroSynthesizer, natural_pitch, prosody_style, voice_table
from services.dubbing.engines.kokoro.make_mixes import coordinates
from services.dubbing.engines.kokoro.mix_search import bank, nearest
from services.dubbing.engines.kokoro.phonemes import LANGUAGES
from services.dubbing.engines.kokoro.voices import STYLES, Mix
from shared.audio.pitch import median_f0
from shared.audio.signal import SPEECH_RATE, resample
from shared.core.records import CastMember, Speaker
from shared.engines.protocols import Audio, EngineOptions, SpeechRequest, WeightFiles
from tests.unit.services.dubbing.casting.test_cast import Table, speaker, unit
from tests.unit.services.dubbing.stand_ins import FolderWork


class Proposer:
    """Proposes tones; the nearest to a speaker is the one with their number."""

    sample_rate = 24_000

    def __init__(self, voices: list[str]) -> None:
        self.voices = voices

    def probe(self, language: str) -> str:
        return "text"

    def proposals(self, member: CastMember, who: Speaker, count: int) -> list[str]:
        return self.voices[:count]

    def synthesize(self, request: SpeechRequest) -> Audio:
        return np.full(self.sample_rate, float(request.voice), np.float32)

    def describe(self, voice: str, language: str) -> Candidate:
        return Candidate(voice, "female", voice == "0.1")


class Ear:
    """Hears the level as a direction."""

    size = 8

    def embed(self, audio: np.ndarray) -> np.ndarray:
        out = np.zeros(self.size)
        out[round(float(np.median(audio)) * 10)] = 1
        return out


def refined(tmp_path: Path, voices: list[str], taken: TakenVoices) -> CastMember:
    member = CastMember(speaker="S1", language="es", voice="cast", gender="female", native=False)
    who = speaker("S1", unit((2, 1), (3, 0.5)))
    return refine(member, who, Proposer(voices), Ear(), FolderWork(tmp_path), count=3, taken=taken)


def test_the_nearest_voice_that_was_heard_is_kept(tmp_path: Path) -> None:
    chosen = refined(tmp_path, ["0.1", "0.2", "0.3"], TakenVoices())
    assert chosen.voice == "0.2" and chosen.similarity == pytest.approx(0.894, abs=0.01)


def test_two_speakers_do_not_share_a_voice(tmp_path: Path) -> None:
    assert refined(tmp_path, ["0.1", "0.2", "0.3"], TakenVoices({"0.2"})).voice == "0.3"


def test_two_speakers_have_no_voices_that_are_alike_while_others_are_left(tmp_path: Path) -> None:
    like_the_nearest = TakenVoices(embeddings=[unit((2, 1), (5, 0.3))])
    assert refined(tmp_path, ["0.1", "0.2", "0.3"], like_the_nearest).voice == "0.3"
    assert refined(tmp_path, ["0.2"], like_the_nearest).voice == "0.2"
    every = TakenVoices(embeddings=[unit((2, 1)), unit((3, 1), (6, 0.4)), unit((1, 1), (6, 0.3))])
    assert refined(tmp_path, ["0.1", "0.2", "0.3"], every).voice == "0.3"


def test_without_proposals_the_cast_stays(tmp_path: Path) -> None:
    assert refined(tmp_path, [], TakenVoices()).voice == "cast"


def test_pitch_that_may_be_either_lets_the_voice_decide() -> None:
    voices = [Candidate("f", "female", True, unit((0, 1))), Candidate("m", "male", True, unit((1, 1)))]
    manly = unit((1, 1), (0, 0.5))
    assert gender_heard(speaker("S1", manly, median_f0_hz=170, gender="female"), voices) == "male"
    assert gender_heard(speaker("S1", manly, median_f0_hz=230, gender="female"), voices) == "female"
    assert gender_heard(speaker("S1", unit((2, 1)), median_f0_hz=170, gender="female"), voices) == "female"


@pytest.mark.parametrize("style", ["af_heart", "am_onyx", "bm_george", "ef_dora"])
def test_the_bank_knows_the_styles_it_was_made_from(style: str) -> None:
    shares = np.eye(len(STYLES))
    gender = "female" if style[1] == "f" else "male"
    near = bank().likeness(shares, 200.0 if gender == "female" else 115.0, voice_table()[style])
    same = [index for index, other in enumerate(STYLES) if other[1] == style[1]]
    better = sum(near[index] > near[STYLES.index(style)] for index in same)
    assert better <= 3


def test_proposals_are_different_mixes_of_one_gender_and_the_native_style() -> None:
    mixes = nearest(voice_table()["am_onyx"], 110.0, "male", "ff_siwis", 0.55, 4)
    assert len(mixes) == 4
    for mix in mixes:
        assert sum(mix.values()) == pytest.approx(1) and mix["ff_siwis"] == pytest.approx(0.45)
        assert all(style[1] == "m" for style in mix if style != "ff_siwis")
    assert mixes == nearest(voice_table()["am_onyx"], 110.0, "male", "ff_siwis", 0.55, 4)


@pytest.mark.parametrize("language", LANGUAGES)
def test_proposed_voices_can_be_spoken_at_the_speakers_pitch(language: str) -> None:
    member = CastMember(speaker="S1", language=language, voice="am_onyx/im_nicola", gender="male", native=False)
    who = speaker("S1", voice_table()["am_onyx"], median_f0_hz=110.0)
    prosody = prosody_style(language, "male")
    for voice in Table().proposals(member, who, 3)[1:]:
        mix = Mix.parse(voice)
        assert mix.prosody == prosody
        reached = mix.pitch * natural_pitch()[f"{language}:{prosody}"]
        assert reached == pytest.approx(110.0, rel=0.02) or mix.pitch in (0.6, 1.6)
    assert PROBES[language]


def test_who_has_no_known_voice_keeps_the_cast() -> None:
    member = CastMember(speaker="S1", language="es", voice="em_alex", gender="male", native=True)
    assert Table().proposals(member, Speaker(id="S1", embedding=[], seconds=0), 4) == []


def test_pitch_moves_and_the_length_stays(weights: WeightFiles) -> None:
    pytest.importorskip("espeakng_loader", reason="the extra “espeak” is not installed")
    kokoro = KokoroSynthesizer(EngineOptions(threads=1), weights)
    usual, low = (
        kokoro.synthesize(SpeechRequest("Mañana lo veremos.", "es", voice)) for voice in ("ef_dora", "ef_dora@0.75")
    )
    pitches = [median_f0(resample(audio, 24_000, SPEECH_RATE)) for audio in (usual, low)]
    assert pitches[0] and pitches[1] and pitches[1] / pitches[0] == pytest.approx(0.75, abs=0.04)
    assert usual.size == low.size


def test_the_bank_is_of_these_weights(weights: WeightFiles) -> None:
    with (resources.files("services.dubbing.engines.kokoro") / "mixes.npz").open("rb") as file, np.load(file) as table:
        stated, styles = str(table["model_sha256"]), table["styles"]
    model = weights.path("kokoro-82m-int8") / "kokoro-v1.0.int8.onnx"
    assert hashlib.sha256(model.read_bytes()).hexdigest() == stated
    # Signs of principal components are free; distances are not.
    fresh = coordinates(weights.path("kokoro-voices"))
    assert np.allclose(styles @ styles.T, fresh @ fresh.T, atol=0.05)
