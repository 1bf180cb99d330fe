"""Recognition beside the library's plain call with the same weights, in one run: under noise, and on real clips.

``COUNTERDUB_HEARING=full`` hears the whole sample and the Kennedy speech instead of half a minute. What was before is
the hearing in windows around detected speech alone. Every figure in the table is of one mix.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, cast

import jiwer
import numpy as np
import pytest

from services.separation.blocks import separate
from services.transcription.engines.faster_whisper import FasterWhisper
from services.transcription.recognition.chunk_utterances import ChunkSound, best_text, listen
from services.transcription.recognition.gates import phrase_share
from services.transcription.recognition.hearings import windowed
from services.transcription.recognition.windows import union, windows
from shared.audio.signal import SPEECH_RATE, resample, rms
from shared.audio.silero import SileroVad
from shared.core.records import SAMPLE_RATE, Word
from shared.core.text import normalise
from shared.engines.protocols import EngineOptions, Recognizer, Segment, WeightFiles, engine_class
from shared.media.probing import probe
from shared.media.sound import decode_audio
from shared.settings.models import TranscriptionSettings
from tests.benchmarks import noises
from tests.benchmarks.running import write_result
from tests.benchmarks.spoken import CLIPS, KENNEDY

pytestmark = pytest.mark.bench
RATIOS = (10, 5, 0, -5)
FULL = os.environ.get("COUNTERDUB_HEARING") == "full"
UNDERSTOOD = 0.1
EXCERPT = (5.0, 36.5)
"""Lines 1 to 8 of the sample, seconds."""


@dataclass(frozen=True)
class Score:
    recall: float
    insertions: int
    onset_s: float | None
    """Mean size of the error of the starts of words that were said and heard, of those whose time is known."""
    loops: int


@dataclass(frozen=True)
class Case:
    """One sound with what is said in it."""

    name: str
    mix: np.ndarray
    text: str
    onsets: Sequence[tuple[int, float]] = ()
    """Number of a word of the text → when it begins, seconds."""


class Remembering:
    """A recogniser that hears each piece once; its plain call is the library's."""

    def __init__(self, engine: FasterWhisper) -> None:
        self.engine = engine
        self.known: dict[bytes, list[Segment]] = {}

    def transcribe(self, audio: np.ndarray, language: str | None) -> list[Segment]:
        key = audio.tobytes()
        if key not in self.known:
            self.known[key] = self.engine.transcribe(audio, language)
        return self.known[key]

    def whole(self, audio: np.ndarray, language: str | None, **options: Any) -> list[Segment]:
        return self.engine.whole(audio, language, **options)


@dataclass
class Ears:
    plain: Any
    """The library's model."""
    recognizer: FasterWhisper
    vad: SileroVad
    embedder: Any
    separator: Any


@pytest.fixture(scope="module")
def ears(weights: WeightFiles) -> Ears:
    ctranslate2 = pytest.importorskip("ctranslate2")
    from faster_whisper import WhisperModel

    def engine(kind: str, name: str) -> Any:
        return engine_class(kind, name)(EngineOptions(), weights)

    recognizer = FasterWhisper(EngineOptions(model="base", threads=2), weights)
    ctranslate2.set_random_seed(0)  # The library draws at random where it is in doubt.
    folder = str(weights.path("whisper-base-ct2"))
    return Ears(
        WhisperModel(folder, device="cpu", compute_type="int8", cpu_threads=2, local_files_only=True),
        recognizer,
        SileroVad(EngineOptions(), weights),
        engine("embedder", "resemblyzer"),
        engine("separator", "spleeter"),
    )


def spoken(data_dir: Path | None) -> tuple[np.ndarray, str, list[tuple[int, float]]]:
    """Clean speech at 48 kHz, its text, and when the first word of every line begins."""
    truth = json.loads((noises.TRUTH / "truth.json").read_text(encoding="utf-8"))
    audio = noises.load(noises.TRUTH / "anna.flac") + noises.load(noises.TRUTH / "tom.flac")
    first, last = (0.0, len(audio) / SAMPLE_RATE) if FULL else EXCERPT
    lines = [line for line in truth["lines"] if first <= line["start"] and line["end"] <= last]
    audio = audio[round(first * SAMPLE_RATE) : round(last * SAMPLE_RATE)]
    onsets, count = [], 0
    for line in lines:
        onsets.append((count, line["start"] - first))
        count += len(normalise(line["text"], "en").split())
    text = " ".join(line["text"] for line in lines)
    if FULL and data_dir:
        other = noises.load(data_dir / "speech" / "jfk.flac")
        gap = np.zeros(2 * SAMPLE_RATE, np.float32)
        audio = np.concatenate([audio, gap, other * np.float32(rms(audio[audio != 0]) / rms(other)), gap])
        text = f"{text} {KENNEDY}"
    return audio, text, onsets


def score(case: Case, words: Sequence[Word]) -> Score:
    kept = [(normalise(word.text, "en"), word.start) for word in words]
    flat = [(part, start) for text, start in kept for part in text.split()]
    said = normalise(case.text, "en")
    found = jiwer.process_words(said, " ".join(part for part, _ in flat) or "nothing")
    starts = dict(case.onsets)
    errors = [
        abs(flat[chunk.hyp_start_idx + at - chunk.ref_start_idx][1] - starts[at])
        for chunk in found.alignments[0]
        if chunk.type == "equal"
        for at in range(chunk.ref_start_idx, chunk.ref_end_idx)
        if at in starts
    ]
    share, times = phrase_share(" ".join(part for part, _ in flat), "en")
    return Score(
        recall=found.hits / (found.hits + found.substitutions + found.deletions),
        insertions=found.insertions,
        onset_s=float(np.mean(errors)) if errors else None,
        loops=times if share > 0.3 else 0,
    )


def heard(case: Case, ears: Ears) -> dict[str, Score]:
    """Scores of the plain call, of what was before, and of ours."""
    mix = np.stack([case.mix] * 2)
    samples = mix.shape[1]
    parts = separate(ears.separator.vocals, lambda a, b: mix[:, a:b], 0, samples, samples, context=SAMPLE_RATE)
    vocals = np.concatenate(list(parts), axis=1).mean(axis=0)
    low, voice = (resample(audio, SAMPLE_RATE, SPEECH_RATE) for audio in (case.mix, vocals))
    sound = ChunkSound(low, voice, ears.vad.speech(low), ears.vad.speech(voice))
    recognizer = Remembering(ears.recognizer)
    # The library's defaults for text; word times, which it does not give by itself, from the same call with them.
    texts, times = (
        list(ears.plain.transcribe(low, language="en", word_timestamps=timed)[0]) for timed in (False, True)
    )
    plain = score(case, [Word(start=s.start, end=s.end, text=part) for s in texts for part in s.text.split()])
    timed = score(case, [Word(start=w.start, end=w.end, text=w.word) for s in times for w in s.words or []])
    engines = {"recognizer": recognizer, "embedder": ears.embedder, "vad": ears.vad}
    lines = listen(sound, "en", TranscriptionSettings(), engines, lambda share: None)
    ours = [word for line in lines if line.status == "ok" for word in line.words]
    plan = windows(union([*sound.on_mix, *sound.on_vocals]), low)
    found = [(window, best_text(low, voice, window, "en", cast(Recognizer, recognizer))) for window in plan]
    return {
        "plain": Score(plain.recall, plain.insertions, timed.onset_s, plain.loops),
        "before": score(case, [item.word for item in windowed(found, "en").words]),
        "ours": score(case, ours),
    }


def printed(name: str, scores: dict[str, Score]) -> str:
    def cell(one: Score) -> str:
        onset = "    –" if one.onset_s is None else f"{one.onset_s:5.2f}"
        return f"{one.recall:6.2f}{one.insertions:5d}{onset}{one.loops:4d}"

    return f"{name:16}" + "   ".join(cell(scores[column]) for column in ("plain", "before", "ours"))


HEADER = f"{'':16}" + "   ".join(f"{name:>20}" for name in ("plain call", "windows alone", "ours"))
HEADER += f"\n{'':16}" + "   ".join("recall  ins  on s  lp" for _ in range(3))


@pytest.fixture(scope="module")
def noisy(ears: Ears, data_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Score]]:
    speech, text, onsets = spoken(data_dir)
    kinds = {
        "music": noises.music(len(speech)),
        "crowd": noises.crowd(len(speech)),
        "effects": noises.effects(len(speech), data_dir / "esc10"),
        "bed": noises.bed(len(speech)),
    }
    found = {}
    print(f"\n\n{HEADER}")
    for ratio in RATIOS:
        for name, noise in kinds.items():
            case = Case(f"{name} {ratio:+d} dB", noises.mixed(speech, noise, ratio), text, onsets)
            found[case.name] = heard(case, ears)
            print(printed(case.name, found[case.name]), flush=True)
    for ratio in RATIOS:
        print(f"{ratio:+d} dB: " + ", ".join(f"{name} {recall(found, ratio, name):.3f}" for name in found["bed +0 dB"]))
    rows = {name: {column: asdict(one) for column, one in scores.items()} for name, scores in found.items()}
    write_result(tmp_path_factory, "hearing", rows)
    return found


def of(found: dict[str, dict[str, Score]], ratio: int, column: str) -> list[Score]:
    return [scores[column] for name, scores in found.items() if name.endswith(f" {ratio:+d} dB")]


def insertions(found: dict[str, dict[str, Score]], ratio: int, column: str) -> int:
    return sum(one.insertions for one in of(found, ratio, column))


def recall(found: dict[str, dict[str, Score]], ratio: int, column: str) -> float:
    """Mean over the sounds in which anything is understood: of the rest two words in eighty are right by chance."""
    cases = [scores for name, scores in found.items() if name.endswith(f" {ratio:+d} dB")]
    heard = [scores for scores in cases if max(one.recall for one in scores.values()) >= UNDERSTOOD]
    return float(np.mean([scores[column].recall for scores in heard]))


@pytest.mark.parametrize("ratio", RATIOS)
def test_no_fewer_words_are_heard_than_by_the_plain_call_or_before(ratio: int, noisy: Any) -> None:
    best = recall(noisy, ratio, "plain")
    # More words are no merit where more is invented than by the plain call.
    if insertions(noisy, ratio, "before") <= insertions(noisy, ratio, "plain"):
        best = max(best, recall(noisy, ratio, "before"))
    assert recall(noisy, ratio, "ours") >= best - 1e-9


@pytest.mark.parametrize("ratio", RATIOS)
def test_no_more_is_invented_than_by_the_plain_call(ratio: int, noisy: Any) -> None:
    assert insertions(noisy, ratio, "ours") <= insertions(noisy, ratio, "plain")


def test_no_loop_is_kept(noisy: Any) -> None:
    assert not {name: scores["ours"] for name, scores in noisy.items() if scores["ours"].loops >= 3}


@pytest.mark.parametrize("clip", CLIPS)
def test_real_clips(clip: str, ears: Ears, data_dir: Path, tmp_path: Path) -> None:
    video = data_dir / "dubbed-shots" / f"{clip}_en.mp4"
    decode_audio(video, probe(video), tmp_path / "master.flac")
    scores = heard(Case(clip, noises.load(tmp_path / "master.flac"), CLIPS[clip]), ears)
    print(f"\n{HEADER}\n{printed(clip, scores)}")
    assert scores["ours"].recall >= max(scores["plain"].recall, scores["before"].recall) - 1e-9
    assert scores["ours"].insertions <= scores["plain"].insertions
