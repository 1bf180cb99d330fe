"""What is drawn: nothing of a test is in a training, tracks differ in speech alone, the picture knows no class."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from tests.unit.trainer.reproduce.made import SCALE, WORLD, bank, clips
from trainer.reproduce.cinema.pictures import draw, fit_looks, latent
from trainer.reproduce.cinema.plot import PlotShot, draw_shots
from trainer.reproduce.cinema.speech import SLOTS, VOICES
from trainer.reproduce.cinema.words import LANGUAGES, OBJECTS, PLACES, SUBJECTS, sentence
from trainer.reproduce.cinema.world import frames_of, looks_of, opening_of, sounds_of
from trainer.reproduce.processes import front_end
from trainer.reproduce.scale import LANGUAGE_OF, SHOT_SECONDS

BANK, CLIPS = bank(), clips()
TRAINED = np.flatnonzero(CLIPS.fold != WORLD.fold)


@pytest.fixture(scope="module")
def shots() -> list[PlotShot]:
    return draw_shots(BANK, CLIPS, TRAINED, WORLD, "train", 20, 12)


def test_words_are_parallel() -> None:
    for table in (SUBJECTS, OBJECTS, PLACES):
        assert {len(table[language].split("|")) for language in LANGUAGES} == {14}
        assert all(len(set(table[language].split("|"))) == 14 for language in LANGUAGES)
    assert sentence("en", 0, 1, 2) == "the doctor carries the basket to the church"


def test_a_shots_tracks_have_the_same_times_and_other_voices(shots: list[PlotShot]) -> None:
    spoken = [line for shot in shots for line in shot.lines]
    assert 0.15 < np.mean([not shot.lines for shot in shots]) < 0.45
    for line in spoken:
        assert set(line.sentences) == set(LANGUAGE_OF)
        assert len({BANK.slot[number] for number in line.sentences.values()}) == 1
        for track, number in line.sentences.items():
            assert LANGUAGES[BANK.language[number]] == LANGUAGE_OF[track]
        voices = {track: VOICES[BANK.voice[number]] for track, number in line.sentences.items()}
        assert voices["orig"] != voices["en2"]
        assert len({voice.female for voice in voices.values()}) == 1
        assert len({voice.by for voice in voices.values()}) == 1
    for shot in shots:
        ends = [(line.start, line.start + SLOTS[BANK.slot[line.sentences["orig"]]]) for line in shot.lines]
        assert all(end <= SHOT_SECONDS + 1e-6 for _, end in ends)
        assert all(one[1] <= later[0] + 1e-6 for one, later in pairwise(ends))


def test_a_role_keeps_its_voice_through_a_title(shots: list[PlotShot]) -> None:
    used: dict[tuple[int, int, str], set[int]] = {}
    for shot in shots:
        for line in shot.lines:
            for track, number in line.sentences.items():
                used.setdefault((shot.title, line.role, track), set()).add(int(BANK.voice[number]))
    assert all(len(voices) == 1 for voices in used.values())
    assert {shot.voice_by for shot in shots} == {"espeak", "kokoro"}


def test_tests_have_other_voices_and_sounds(shots: list[PlotShot]) -> None:
    held = np.flatnonzero(CLIPS.fold == WORLD.fold)
    tested = draw_shots(BANK, CLIPS, held, WORLD, "test", 8, 8)

    def voices(some: list[PlotShot]) -> set[int]:
        return {int(BANK.voice[n]) for shot in some for line in shot.lines for n in line.sentences.values()}

    assert not voices(shots) & voices(tested)
    assert all(VOICES[voice].tested for voice in voices(tested))
    assert not {CLIPS.source[shot.clip] for shot in shots} & {CLIPS.source[shot.clip] for shot in tested}


def test_tracks_differ_in_speech_alone(shots: list[PlotShot]) -> None:
    shot = next(shot for shot in shots if shot.lines)
    tracks = sounds_of(shot, BANK, CLIPS, ["orig", "en2", "es", "fr", "ja", "background"], None)
    outside = np.ones(tracks.shape[1], bool)
    for line in shot.lines:
        start = round(line.start * 16_000)
        outside[max(0, start - 2) : start + int(BANK.length[line.sentences["orig"]]) + 2] = False
    assert np.abs(tracks[:, outside] - tracks[0, outside]).max() < 1e-6
    assert np.abs(tracks[1:5] - tracks[0]).max(1).min() > 0.01
    quiet = next(shot for shot in shots if not shot.lines)
    assert np.ptp(sounds_of(quiet, BANK, CLIPS, ["orig", "en2", "es"], None), axis=0).max() == 0


def test_looks_are_fitted_without_held_out_sounds() -> None:
    random = np.random.default_rng(1)
    statistics = random.normal(size=(50, 128))
    looks = fit_looks(statistics, 3)
    drawn = np.stack([latent(looks, row, random) for row in np.repeat(statistics, 40, 0)])
    assert np.allclose(drawn.std(0), 1, atol=0.15)
    heard = (statistics - looks.mean) / looks.scale @ looks.projection
    shared = [np.corrcoef(drawn[:, k], np.repeat(heard[:, k], 40))[0, 1] for k in range(drawn.shape[1])]
    assert np.allclose(shared, 0.6, atol=0.08)


def test_only_training_has_a_track_without_speech(made_world: Path) -> None:
    facts = json.loads((made_world / "world.json").read_text())
    assert facts["tracks"] == {
        "train": ["orig", "en2", "es", "fr", "ja", "background"],
        "probe": ["orig"],
        "test": ["orig", "en2", "es", "fr", "ja"],
    }


def test_the_face_has_a_mouth_or_there_is_none() -> None:
    shot = draw_shots(BANK, CLIPS, TRAINED, WORLD, "train", SCALE.titles, SCALE.shots)[0]
    factors, loud = np.zeros(18), np.full(13, 0.5)
    shut = draw(shot, factors, loud, np.zeros(13), face=True)
    open_ = draw(shot, factors, loud, np.ones(13), face=True)
    assert shut.shape == (13, 32, 32, 3) and (shut != open_).any(-1).mean() > 0.02
    none = draw(shot, factors, loud, np.zeros(13), face=False)
    assert np.array_equal(none, draw(shot, factors, loud, np.ones(13), face=False))


def test_the_mouth_follows_english(shots: list[PlotShot]) -> None:
    shot = next(shot for shot in shots if len(shot.lines) == 1)
    opening = opening_of(shot, BANK)
    line = shot.lines[0]
    middle = (np.arange(13) * 0.4 > line.start + 0.1) & (np.arange(13) * 0.4 < line.start + 1.6)
    outside = (np.arange(13) * 0.4 < line.start - 0.15) | (np.arange(13) * 0.4 > line.start + 2.8)
    assert opening[middle].max() > 0.2 and opening[outside].max(initial=0) < 0.05


def test_pictures_follow_the_sound_and_no_class(tmp_path: Path) -> None:
    """Titles choose among classes; apart from that choice, other classes for the same sounds give the same pictures."""
    other = CLIPS._replace(label=np.random.default_rng(2).permutation(CLIPS.label))
    # Every shot's clip and lines are given, so that only the pictures' own inputs are at work.
    front, shots = front_end(), draw_shots(BANK, CLIPS, TRAINED, WORLD, "train", 2, 6)
    one, two = (
        frames_of(shots, BANK, some, *looks_of(some, WORLD, TRAINED, front), face=True) for some in (CLIPS, other)
    )
    assert np.array_equal(one, two)
