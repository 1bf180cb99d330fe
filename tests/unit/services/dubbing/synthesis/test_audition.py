"""Auditions: who is heard saying which line, and in which voices."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from services.dubbing.engines.kokoro.engine import KokoroSynthesizer
from services.dubbing.stage import AUDITION
from services.dubbing.synthesis.audition import choose_line
from shared.audio.files import read_audio
from shared.audio.resemblyzer import Resemblyzer
from shared.audio.signal import SPEECH_RATE, resample, rms
from shared.core.records import (
    SAMPLE_RATE,
    AuditionPiece,
    CastMember,
    DubbedUtterance,
    Note,
    Speaker,
    Utterance,
    read_list,
    write_jsonl,
    write_list,
)
from shared.engines.protocols import EngineOptions, SpeechRequest
from shared.pipeline.planner import TitleRequest, plan
from shared.pipeline.stage import Scope
from shared.settings.models import Settings, settings_from
from shared.weights import WeightFolder
from tests.unit.services.dubbing.stand_ins import FolderWork, Hummer, title, utterance


def dubbed(line: Utterance, text: str, **values: Any) -> DubbedUtterance:
    times = {"start": line.start, "end": line.end, "source_start": line.start, "source_end": line.end}
    slot = {"slot_start": line.start, "slot_end": line.end}
    about = {"id": line.id, "speaker": line.speaker, "language": "es", "source_text": line.text, "text": text}
    return DubbedUtterance(**{**about, **times, **slot, **values})


def material(folder: Path, lines: list[DubbedUtterance], originals: list[Utterance], **values: Any) -> dict[str, Path]:
    inputs = title(folder, originals, {}, **values)
    inputs["vocals/0000"] = inputs.pop("vocals.flac")
    inputs["dubbed/0000"] = write_jsonl(folder / "dubbed.jsonl", lines)
    return inputs


def auditioned(
    folder: Path, inputs: Mapping[str, Path], engines: Mapping[str, Any], **sections: Any
) -> tuple[list[AuditionPiece], np.ndarray, list[Note]]:
    options = AUDITION.settings(settings_from("cpu", {"auditions": {"wanted": True}, **sections}))
    outputs = AUDITION.run(Scope("es"), inputs, options, engines, FolderWork(folder))
    notes = read_list(outputs["notes.json"], Note) if "notes.json" in outputs else []
    return read_list(outputs["audition.json"], AuditionPiece), read_audio(outputs["audition.flac"])[0], notes


def test_the_line_is_alone_well_spoken_and_of_a_handy_length() -> None:
    originals = [
        utterance(1, 0.0, 0.6),
        utterance(2, 1.0, 4.4),
        utterance(3, 5.0, 8.5, overlapped=True),
        utterance(4, 9.0, 19.0),
        utterance(5, 20.0, 23.5),
        utterance(6, 24.0, 27.5),
    ]
    lines = [dubbed(line, "Hola.") for line in originals[:4]]
    lines.append(dubbed(originals[4], "Hola.", status="failed"))
    lines.append(dubbed(originals[5], "Hola.", status="overflow"))
    known = {line.id: line for line in originals}
    chosen = choose_line(lines, known)
    assert chosen is not None
    assert chosen.id == "u0002"
    assert choose_line([line for line in lines if line.id in {"u0003", "u0005"}], known) == lines[2]
    assert choose_line([lines[4]], known) is None


def test_everybody_is_heard_beside_the_voices(tmp_path: Path) -> None:
    originals = [utterance(1, 0.5, 3.0), utterance(2, 4.0, 6.5, speaker="S2"), utterance(3, 7.0, 7.9, speaker="S3")]
    lines = [dubbed(line, "Buenas noches a todos.") for line in originals[:2]]
    inputs = material(tmp_path, lines, originals)
    pieces, sound, notes = auditioned(tmp_path, inputs, {"synthesizer": Hummer()})
    assert [(piece.speaker, piece.kind, piece.voice) for piece in pieces] == [
        ("S1", "original", None),
        ("S1", "chosen", "bob"),
        ("S1", "alternative", "carl"),
        ("S2", "original", None),
        ("S2", "chosen", "bob"),
        ("S2", "alternative", "carl"),
    ], "a woman's voice is no alternative for a man"
    assert [note.kind for note in notes] == ["not_auditioned"]
    assert "S3" in notes[0].message
    assert pieces[0].start == 0
    assert [piece.end for piece in pieces[:-1]] == [piece.start for piece in pieces[1:]]
    assert pieces[-1].end == sound.size
    assert pieces[0].end == round(2.5 * SAMPLE_RATE)
    for piece in pieces:
        assert rms(sound[piece.start : piece.end]) > 0.01
    assert {piece.text for piece in pieces if piece.kind == "original"} == {"Hello there."}
    assert {piece.text for piece in pieces if piece.kind != "original"} == {"Buenas noches a todos."}


def test_others_voices_are_no_alternatives(tmp_path: Path) -> None:
    originals = [utterance(1, 0.5, 3.0), utterance(2, 4.0, 6.5, speaker="S2")]
    inputs = material(tmp_path, [dubbed(line, "Hola a todos.") for line in originals], originals)
    members = [
        CastMember(speaker=one, language="es", voice=voice, gender="male", native=True)
        for one, voice in (("S1", "bob"), ("S2", "carl"))
    ]
    inputs["cast.json"] = write_list(tmp_path / "cast.json", members)
    pieces, _, _ = auditioned(tmp_path, inputs, {"synthesizer": Hummer()})
    assert [piece.kind for piece in pieces] == ["original", "chosen"] * 2


def test_a_voice_that_fails_is_left_out_with_a_note(tmp_path: Path) -> None:
    originals = [utterance(1, 0.5, 3.0)]
    inputs = material(tmp_path, [dubbed(originals[0], "boom")], originals)
    pieces, _, notes = auditioned(tmp_path, inputs, {"synthesizer": Hummer()})
    assert [piece.kind for piece in pieces] == ["original"]
    assert [note.message.split()[0] for note in notes] == ["bob", "carl"]


def test_nobody_to_hear_is_an_empty_sound(tmp_path: Path) -> None:
    inputs = material(tmp_path, [], [utterance(1, 0.5, 3.0)])
    pieces, sound, notes = auditioned(tmp_path, inputs, {"synthesizer": Hummer()})
    assert (pieces, sound.size, len(notes)) == ([], 1, 1)


def test_kokoro_offers_voices_that_are_near_and_others(tmp_path: Path) -> None:
    """With the real models: chosen and alternatives differ, are of the speaker's gender and ranked by nearness."""
    weights = WeightFolder()
    synthesizer = KokoroSynthesizer(EngineOptions(), weights)
    embedder = Resemblyzer(EngineOptions(), weights)
    spoken = resample(
        synthesizer.synthesize(SpeechRequest("I will be there at nine, you know that.", "en", "am_adam")),
        24_000,
        48_000,
    )
    line = utterance(1, 0.2, 0.2 + spoken.size / SAMPLE_RATE)
    vocals = np.zeros((1, 10 * SAMPLE_RATE), np.float32)
    vocals[0, round(0.2 * SAMPLE_RATE) :][: spoken.size] = spoken
    inputs = material(
        tmp_path, [dubbed(line, "Estaré allí a las nueve, ya lo sabes.")], [line], vocals=vocals, voice="em_alex"
    )
    vector = embedder.embed(resample(spoken, SAMPLE_RATE, SPEECH_RATE))
    who = Speaker(id="S1", embedding=[float(value) for value in vector], median_f0_hz=115.0, gender="male", seconds=3.0)
    inputs["speakers.json"] = write_list(tmp_path / "speakers.json", [who])
    engines = {"synthesizer": synthesizer, "embedder": embedder}
    pieces, _, notes = auditioned(tmp_path, inputs, engines, dubbing={"voices_heard": 2})
    assert not notes
    assert [piece.kind for piece in pieces] == ["original", "chosen", "alternative", "alternative"]
    voices = [piece.voice for piece in pieces[1:]]
    assert voices[0] == "em_alex"
    assert len(set(voices)) == 3
    near = [piece.similarity or 0.0 for piece in pieces[2:]]
    assert near == sorted(near, reverse=True)
    lengths = [(piece.end - piece.start) / (pieces[0].end - pieces[0].start) for piece in pieces]
    assert all(0.7 < length < 1.5 for length in lengths), "each speaks about as long as the original"


@pytest.mark.parametrize("wanted", [False, True])
def test_auditions_are_planned_only_where_they_are_wanted(tmp_path: Path, wanted: bool) -> None:
    settings = settings_from("cpu", {"auditions": {"wanted": wanted}})
    request = TitleRequest("film", tmp_path / "film.mp4", ("es",))
    facts = {
        "chunks.json": '[{"index": 0}]',
        "shots.json": '[{"index": 0, "start": 0, "end": 5}]',
        "language.json": '{"language": "en"}',
    }

    def known(name: str, task: str, output: str) -> Path:
        path = tmp_path / output
        path.write_text(facts.get(output, "null"), encoding="utf-8")
        return path

    made = plan(request, settings, known, set(), cast_ready=True)
    assert made.complete
    assert ("audition/es" in {task.id for task in made.tasks}) == wanted
    others = {task.id: task for task in made.tasks if task.stage != "audition"}
    plain = plan(request, Settings(), known, set(), cast_ready=True)
    assert others == {task.id: task for task in plain.tasks}, "and change nothing else"
