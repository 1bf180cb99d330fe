"""Which picture and sound are taken, joined clocks, and what edit lists hide."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest

from shared.audio import files
from shared.core.errors import InputError
from shared.core.records import Probe
from shared.media.muxing import TitleContents, Track, mux_title
from shared.media.picture import frames
from shared.media.probing import Wanted, probe
from shared.media.sound import decode_audio
from shared.media.stream_choice import programmes
from tests.unit.shared.media import odd, several

SILENCE = np.zeros(3 * 48000, np.float32)


def pitch(path: Path, found: Probe, folder: Path) -> float:
    """The strongest frequency of the master, Hz."""
    decode_audio(path, found, folder / "master.flac")
    heard = files.read_audio(folder / "master.flac")[0]
    return float(np.abs(np.fft.rfft(heard)).argmax()) * 48000 / heard.size


def exported(path: Path, found: Probe, folder: Path) -> tuple[float, float, int]:
    """Start, end and number of the pictures of the MKV."""
    sound = decode_audio(path, found, folder / "orig.flac")
    assert sound.samples / 48000 == pytest.approx(found.duration, abs=0.1)
    mux_title(path, found, TitleContents([Track("orig", "en", folder / "orig.flac", "o")]), folder / "out.mkv", 96_000)
    with av.open(str(folder / "out.mkv")) as container:
        times = [frame.time for frame in container.decode(video=0)]
    return times[0], times[-1], len(times)


def test_a_cover_that_is_not_marked_as_one(tmp_path: Path) -> None:
    path = several.film(
        tmp_path / "a.mkv", [(several.tone(220, 3), None, True)], pictures=((600, 600, 0.04), (160, 120, 3))
    )
    found = probe(path)
    assert (found.video.index, found.video.width, found.video.duration) == (1, 160, pytest.approx(3, abs=0.05))
    assert "stream 1" in found.notes[0] and "short" in found.notes[0]
    assert exported(path, found, tmp_path)[2] == 75


def test_of_two_pictures_of_a_length_the_larger_is_the_film(tmp_path: Path) -> None:
    path = several.film(
        tmp_path / "a.mkv", [(several.tone(220, 3), None, True)], pictures=((160, 120, 3), (320, 240, 3))
    )
    assert probe(path).video.index == 1
    assert probe(path, wanted=Wanted(video_stream=0)).video.width == 160


def test_of_two_languages_the_films(tmp_path: Path) -> None:
    path = several.film(tmp_path / "a.mkv", [(several.tone(880, 3), "spa", True), (several.tone(220, 3), "eng", False)])
    english, unsaid = probe(path, wanted=Wanted("en")), probe(path)
    assert (english.audio.index, unsaid.audio.index) == (2, 1)
    assert pitch(path, english, tmp_path) == pytest.approx(220, abs=5)
    assert pitch(path, unsaid, tmp_path) == pytest.approx(880, abs=5)
    assert "language tag" in english.notes[0] and "default" in unsaid.notes[0]
    assert probe(path, wanted=Wanted("en", audio_stream=1)).audio.language == "es"


@pytest.mark.parametrize("suffix", ["mkv", "mov", "ts"])
def test_of_mono_sounds_one_that_sounds(suffix: str, tmp_path: Path) -> None:
    path = several.film(tmp_path / f"a.{suffix}", [(SILENCE, None, True), (several.tone(220, 3), None, False)])
    found = probe(path)
    assert pitch(path, found, tmp_path) == pytest.approx(220, abs=5)
    assert "not silent" in found.notes[0]


def test_the_sound_of_the_pictures_programme(tmp_path: Path) -> None:
    path = several.two_programmes(tmp_path / "a.ts")
    assert sorted(programmes(path).values()) == [1, 2, 2]
    found = probe(path)
    assert pitch(path, found, tmp_path) == pytest.approx(220, abs=5)
    assert "programme" in found.notes[0]


def test_streams_that_are_not_there_are_refused(tmp_path: Path) -> None:
    path = odd.clip(tmp_path / "a.mp4")
    for wanted in (Wanted(video_stream=1), Wanted(audio_stream=0), Wanted(audio_stream=7)):
        with pytest.raises(InputError) as error:
            probe(path, wanted=wanted)
        assert error.value.code == "no_such_stream"
    assert probe(path, wanted=Wanted("en", 0, 1)).notes == []


@pytest.mark.parametrize(
    ("starts", "again"),
    [((1.4, 1.4), 1), ((1.4, 1.4, 0.5), 2), ((100.0, 3.0), 1), ((1.4, 3000.0), 1), ((1.4, 50_000.0, 7.0), 2)],
    ids=["again", "three", "back", "ahead", "ahead and back"],
)
def test_a_clock_that_begins_again_goes_on(starts: tuple[float, ...], again: int, tmp_path: Path) -> None:
    path = several.joined(tmp_path / "a.ts", *starts)
    found = probe(path)
    whole = 3.0 * len(starts)
    assert len(found.restarts) == again and "clock begins again" in found.notes[0]
    assert found.duration == pytest.approx(whole, abs=0.15)
    sound = decode_audio(path, found, tmp_path / "master.flac")
    assert sound.trimmed + sound.filled < 0.1 * len(starts)
    with av.open(str(path)) as container:
        times = [time for time, _ in frames(container, found, 10**6)]
    assert len(times) == 75 * len(starts) and max(np.diff(times)) < 0.1
    start, end, count = exported(path, found, tmp_path)
    assert count == 75 * len(starts) and end - start == pytest.approx(whole - 0.04, abs=0.1)


def test_the_wrap_of_a_transport_streams_clock_is_no_new_beginning(tmp_path: Path) -> None:
    wrap = 2**33 / 90000
    path = odd.clip(tmp_path / "a.ts", 3.0, picture_start=wrap - 1.5, sound_start=wrap - 1.5)
    found = probe(path)
    assert found.restarts == [] and found.duration == pytest.approx(3.0, abs=0.1)
    assert exported(path, found, tmp_path)[2] == 75


def test_gaps_stay_gaps(tmp_path: Path) -> None:
    path = odd.clip(tmp_path / "a.ts", 6.0, gap=(2.0, 4.0))
    found = probe(path)
    assert found.restarts == []
    assert decode_audio(path, found, tmp_path / "master.flac").filled == pytest.approx(2.0, abs=0.1)


@pytest.mark.parametrize("suffix", ["mkv", "mp4"])
def test_what_an_edit_list_hides_is_in_no_file(suffix: str, tmp_path: Path) -> None:
    path = several.cut_without_encoding(tmp_path / "a.mp4")
    found = probe(path)
    assert found.hidden == pytest.approx(0.52, abs=0.05) and "hides" in found.notes[-1]
    assert found.duration == pytest.approx(2.48, abs=0.06)
    sound = decode_audio(path, found, tmp_path / "orig.flac")
    tracks = [Track("orig", "en", tmp_path / "orig.flac", "o")]
    mux_title(path, found, TitleContents(tracks), tmp_path / f"out.{suffix}", 96_000)
    with av.open(str(tmp_path / f"out.{suffix}")) as container:
        assert float(container.duration) / 1e6 == pytest.approx(sound.samples / 48000, abs=0.06)
        picture = [frame.time for frame in container.decode(video=0)]
    with av.open(str(tmp_path / f"out.{suffix}")) as container:
        heard = next(container.decode(audio=0)).time
    assert picture[0] == pytest.approx(0, abs=0.05) and heard == pytest.approx(0, abs=0.03)
