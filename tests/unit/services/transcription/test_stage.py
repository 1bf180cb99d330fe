"""The four stages with stand-in engines: inputs, outputs, what is kept, what is heard again."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile as sf

from services.transcription.stage import LANGUAGE, QUALITY, SPEAKERS, STAGE
from shared.core.errors import UsageError
from shared.core.records import Chunk, DubbedUtterance, Speaker, Utterance, read_jsonl, write_jsonl
from shared.pipeline.stage import Scope
from shared.settings.models import QualitySettings, Settings, TranscriptionSettings
from tests.unit.services.transcription.conftest import FakeWork, PitchEmbedder, ScriptedRecognizer, quiet, tone

SETTINGS = TranscriptionSettings()
Build = Callable[..., dict[str, Path]]


def transcribe(inputs: dict[str, Path], engines: dict[str, Any], work: FakeWork, chunk: int = 0) -> list[Utterance]:
    out = STAGE.run(Scope(chunk=chunk), inputs, SETTINGS, engines, work)
    lines = read_jsonl(out["utterances.jsonl"], Utterance)
    with np.load(out["embeddings.npz"]) as stored:
        assert stored["ids"].tolist() == [line.id for line in lines]
        assert stored["embeddings"].shape == (len(lines), PitchEmbedder.size)
    return lines


def test_lines_have_title_times_and_provisional_ids(
    chunk_inputs: Build, engines: dict[str, Any], work: FakeWork
) -> None:
    audio = np.concatenate([quiet(1), tone(2), quiet(1.5), tone(1.5), quiet(1)])
    first, second = transcribe(chunk_inputs(audio, before=20.0), engines, work, chunk=1)
    assert (first.id, second.id) == ("0001-0000", "0001-0001")
    assert first.start == pytest.approx(21.0, abs=0.1) and second.end == pytest.approx(26.0, abs=0.1)
    assert f"{first.text} {second.text}" == "hello there my friend"
    assert all(21 <= word.start < word.end <= 26.1 for line in (first, second) for word in line.words)
    assert work.shares == sorted(work.shares) and work.counts["utterances"] == 2


def test_silence_has_no_lines_and_asks_no_recogniser(
    chunk_inputs: Build, engines: dict[str, Any], work: FakeWork
) -> None:
    assert transcribe(chunk_inputs(quiet(8)), engines, work) == []
    assert engines["recognizer"].calls == 0


def test_no_known_language_means_no_lines(chunk_inputs: Build, engines: dict[str, Any], work: FakeWork) -> None:
    assert transcribe(chunk_inputs(tone(3), language=None), engines, work) == []


@pytest.mark.parametrize(("logprob", "calls"), [(-0.2, 3), (-0.9, 4)])
def test_a_window_of_poor_text_is_heard_again_in_the_vocals(
    chunk_inputs: Build, engines: dict[str, Any], work: FakeWork, logprob: float, calls: int
) -> None:
    engines["recognizer"] = ScriptedRecognizer(logprob=logprob)
    transcribe(chunk_inputs(tone(3)), engines, work)
    assert engines["recognizer"].calls == calls


def test_refused_text_is_kept_with_its_reason(chunk_inputs: Build, engines: dict[str, Any], work: FakeWork) -> None:
    engines["recognizer"] = ScriptedRecognizer("la la la la la la", logprob=-1.9)
    (line,) = transcribe(chunk_inputs(tone(3)), engines, work)
    assert (line.status, line.reason) == ("dropped", "hallucination")
    assert work.counts["dropped_lines"] == 1


def test_given_text_is_not_recognised_and_hugs_the_voice(
    chunk_inputs: Build, engines: dict[str, Any], work: FakeWork, tmp_path: Path
) -> None:
    given = tmp_path / "given.srt"
    given.write_text(
        "1\n00:00:00,500 --> 00:00:04,000\n[S1] Hello there, my friend.\n\n"
        "2\n00:00:05,000 --> 00:00:06,000\nAlthough nobody is heard.\n\n3\n00:00:50,000 --> 00:00:51,000\nToo late.\n"
    )
    inputs = chunk_inputs(np.concatenate([quiet(1), tone(2), quiet(4)])) | {"transcript": given}
    first, second, third = transcribe(inputs, engines, work)
    assert first.origin == "given" and first.speaker == "S1" and first.mean_logprob is None
    assert (first.start, first.end) == (pytest.approx(1.0, abs=0.06), pytest.approx(3.0, abs=0.06))
    assert (second.start, second.end) == (5.0, 6.0)
    assert (third.status, third.reason) == ("dropped", "beyond_end")
    assert engines["recognizer"].calls == 0


def test_given_lines_belong_to_the_chunk_of_their_start(
    chunk_inputs: Build, engines: dict[str, Any], work: FakeWork, tmp_path: Path
) -> None:
    given = tmp_path / "given.json"
    given.write_text(json.dumps([{"start": s, "end": s + 1, "text": f"at {s}"} for s in (0, 3.9, 4, 99)]))
    inputs = chunk_inputs(tone(3), before=4.0) | {"transcript": given}
    assert [line.text for line in transcribe(inputs, engines, work, chunk=1)] == ["at 4", "at 99"]


def test_a_broken_transcript_is_a_usage_error(
    chunk_inputs: Build, engines: dict[str, Any], work: FakeWork, tmp_path: Path
) -> None:
    (tmp_path / "given.srt").write_text("not a transcript")
    with pytest.raises(UsageError, match="line 1"):
        transcribe(chunk_inputs(tone(3)) | {"transcript": tmp_path / "given.srt"}, engines, work)


def test_language_is_detected_given_or_absent(chunk_inputs: Build, engines: dict[str, Any], work: FakeWork) -> None:
    def language(inputs: dict[str, Path], **more: Any) -> dict[str, Any]:
        out = LANGUAGE.run(Scope(), inputs, TranscriptionSettings(**more), engines, work)
        answer: dict[str, Any] = json.loads(out["language.json"].read_text())
        return answer

    assert language(chunk_inputs(tone(3)))["language"] == "en"
    assert language(chunk_inputs(tone(3)), language="French")["language"] == "fr"
    assert language(chunk_inputs(quiet(3))) == {"language": None, "confidence": 0.0, "votes": {}, "reason": "no_speech"}
    with pytest.raises(UsageError):
        language(chunk_inputs(tone(3)), language="klingonese")


def test_a_transcript_tells_the_language_of_a_film_in_which_nobody_is_heard(
    chunk_inputs: Build, engines: dict[str, Any], work: FakeWork, tmp_path: Path
) -> None:
    def language(sound: np.ndarray, said: str) -> dict[str, Any]:
        given = tmp_path / "given.srt"
        given.write_text(f"1\n00:00:00,500 --> 00:00:02,500\n{said}\n")
        out = LANGUAGE.run(Scope(), chunk_inputs(sound) | {"transcript": given}, TranscriptionSettings(), engines, work)
        answer: dict[str, Any] = json.loads(out["language.json"].read_text())
        return answer

    spanish = "Nadie sabe de dónde viene el agua que bebemos."
    told = language(quiet(3), spanish)
    assert (told["language"], told["reason"]) == ("es", "transcript")
    assert language(quiet(3), "Ta ta, tra la!")["language"] is None, "too little to be sure"
    assert language(tone(3), spanish)["language"] == "en", "what is heard comes first"


def quality_inputs(tmp_path: Path, texts: list[str], speech: np.ndarray) -> dict[str, Path]:
    sf.write(tmp_path / "speech.flac", speech, 48_000, subtype="PCM_24")
    sf.write(tmp_path / "vocals.flac", speech, 48_000, subtype="PCM_24")
    lines = [
        DubbedUtterance(
            id=f"u{i:04}",
            speaker="S1",
            language="en",
            source_text="x",
            text=text,
            start=10 + 4 * i,
            end=13 + 4 * i,
            source_start=0,
            source_end=1,
            slot_start=0,
            slot_end=1,
            status="failed" if not text else "ok",
        )
        for i, text in enumerate(texts)
    ]
    write_jsonl(tmp_path / "dubbed.jsonl", lines)
    voice = PitchEmbedder().embed(tone(1, rate=16_000)).tolist()
    count = len(speech)
    chunks = [Chunk(index=0, start=0, end=480_000), Chunk(index=1, start=480_000, end=480_000 + count)]
    (tmp_path / "chunks.json").write_text(json.dumps([chunk.model_dump() for chunk in chunks]))
    (tmp_path / "speakers.json").write_text(json.dumps([Speaker(id="S1", embedding=voice, seconds=1).model_dump()]))
    names = ("speech.flac", "vocals.flac", "dubbed.jsonl", "chunks.json", "speakers.json")
    return {name: tmp_path / name for name in names}


def test_dubbed_lines_are_heard_once_and_compared(tmp_path: Path, engines: dict[str, Any], work: FakeWork) -> None:
    speech = np.concatenate([tone(3, 200), quiet(1), tone(3, 200, level=0.1), quiet(1), quiet(3)])
    inputs = quality_inputs(tmp_path, ["Hello there, my friend!", "Hello there, my fiend.", ""], speech)

    def check() -> list[DubbedUtterance]:
        out = QUALITY.run(Scope(language="en", chunk=1), inputs, QualitySettings(), engines, work)
        activity = json.loads(out["activity.json"].read_text())
        assert activity["dub"][0] == {"start": 10.0, "end": pytest.approx(13.0, abs=0.1)}
        assert len(activity["source"]) == 2
        return read_jsonl(out["dubbed.jsonl"], DubbedUtterance)

    first, second, third = check()
    assert first.round_trip_cer == 0 and second.round_trip_cer == pytest.approx(1 / 20, abs=0.01)
    assert first.detected_language == "en" and first.language_confidence == 1.0
    assert first.speaker_similarity == 1.0
    assert first.energy_correlation == pytest.approx(1.0) and third.energy_correlation is None
    assert third.round_trip_text is None and third.status == "failed"
    assert work.made == 2
    quality_inputs(tmp_path, ["Hello there, my friend!", "", ""], speech)
    assert check()[0].round_trip_cer == 0
    assert work.made == 2


def test_without_a_round_trip_only_activity_is_made(tmp_path: Path, engines: dict[str, Any], work: FakeWork) -> None:
    inputs = quality_inputs(tmp_path, ["Hello."], tone(3))
    settings = Settings.model_validate({"quality": {"round_trip": False}})
    assert set(QUALITY.engines(settings, Scope())) == {"vad"}
    out = QUALITY.run(Scope(chunk=1), inputs, settings.quality, {"vad": engines["vad"]}, work)
    assert read_jsonl(out["dubbed.jsonl"], DubbedUtterance)[0].round_trip_cer is None


def test_stages_name_their_engines() -> None:
    settings = Settings()
    assert set(STAGE.engines(settings, Scope())) == {"recognizer", "embedder", "vad"}
    assert set(LANGUAGE.engines(settings, Scope())) == {"recognizer"}
    assert not SPEAKERS.engines(settings, Scope())
