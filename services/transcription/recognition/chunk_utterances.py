"""STAGE: the utterances of one chunk, recognised or given, with a voice embedding each."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from services.transcription.recognition import cue_splitting, left_speech
from services.transcription.recognition.gates import refuse
from services.transcription.recognition.hearings import WHOLE_WEIGHT, whole, windowed
from services.transcription.recognition.rescoring import reconsider
from services.transcription.recognition.second_hearing import hear_again, unheard
from services.transcription.recognition.turns import by_voice
from services.transcription.recognition.utterances import breathing_room, hug, joined, levels, reunite, settle, split
from services.transcription.recognition.voting import Hearing, vote
from services.transcription.recognition.windows import covered, cut, read_speech, union, windows, within
from shared.audio.pitch import median_f0
from shared.audio.signal import SPEECH_RATE, rms
from shared.core.errors import UsageError
from shared.core.records import (
    SAMPLE_RATE,
    Chunk,
    LeftSpeech,
    Note,
    Span,
    Utterance,
    read_json,
    read_list,
    write_jsonl,
    write_notes,
)
from shared.engines.protocols import Embedder, Recognizer, Segment
from shared.pipeline.stage import Scope, Work
from shared.settings.models import TranscriptionSettings
from shared.transcripts import transcript
from shared.transcripts.embedded import choose_stream

POOR_LOGPROB = -0.7
"""Below this the separated voice is heard too, and the surer text is kept (the mix is the better one as a rule)."""
EDGE_SECONDS = 0.3
"""How far sound may lie outside the recogniser's word times."""
DETECTOR_LATE_SECONDS = 0.1
"""How far before the speech that was detected a voice may already sound; what sounds earlier is something else."""
SUSPECTED, HIDDEN_BELIEF = 0.15, 0.4
"""From the second on words understood where no line is are taken for speech. ``pairing.max_residual_speech`` is a
little higher, so that what would reject a shot has opened the gate before."""
SPARSE_CHUNK_SECONDS = 30.0
UNDETERMINED = "und"
"""Language of given text when nothing says what it is (ISO 639-2)."""
UNKNOWN_SPEAKER = ""
SILENT_RMS = 1e-4


def run(
    scope: Scope,
    inputs: Mapping[str, Path],
    settings: TranscriptionSettings,
    engines: Mapping[str, Any],
    work: Work,
) -> dict[str, Path]:
    """Utterances (title times, provisional ids and speakers) and ``embeddings.npz`` of one chunk."""
    chunks = read_list(inputs["chunks.json"], Chunk)
    chunk = next(chunk for chunk in chunks if chunk.index == scope.chunk)
    offset, end = chunk.start / SAMPLE_RATE, chunk.end / SAMPLE_RATE
    language = read_json(inputs["language.json"])["language"]
    mix = read_speech(inputs["master.flac"], chunk.start, chunk.end)
    vocals = read_speech(inputs["vocals.flac"])
    work.progress(0.02)
    on_vocals = engines["vad"].speech(vocals)
    if "speech.json" in inputs:
        on_mix = within(read_list(inputs["speech.json"], Span), offset, end)
    else:
        on_mix = engines["vad"].speech(mix)
    work.progress(0.05)

    notes: list[Note] = []
    title_end = max(chunk.end for chunk in chunks) / SAMPLE_RATE
    cues: list[transcript.Given] = []
    if "transcript" in inputs:
        cues = transcript.read_transcript(inputs["transcript"], title_end, language, notes.append)
        transcript.refuse_unusable(cues, title_end)
    elif "subtitles.json" in inputs and language is not None:
        cues = embedded_transcript(inputs["subtitles.json"], title_end, language, notes)
    if cues:
        in_title = read_list(inputs["speech.json"], Span) if "speech.json" in inputs else []
        last = chunk.index == max(chunk.index for chunk in chunks)
        mine = [
            part
            for part in cue_splitting.split_long_cues(cues, in_title)
            if offset <= max(part.given.cue.start, 0.0) and (part.given.cue.start < end or last)
        ]
        sound = ChunkSound(mix, vocals, on_mix, on_vocals)
        given = heard_apart(mine, sound, offset, language, settings, engines, notes, work)
        utterances = from_cues(given, language or UNDETERMINED, offset, vocals, on_vocals)
    elif language is None:
        utterances = []
    else:
        utterances = listen(ChunkSound(mix, vocals, on_mix, on_vocals), language, settings, engines, work.progress)

    lines = []
    for number, line in enumerate(sorted(utterances, key=lambda line: (line.start, line.end))):
        lines.append(line.model_copy(update={"id": f"{chunk.index:04}-{number:04}"}))
    vectors, pitches = voices(lines, vocals, mix, engines["embedder"], work.progress)
    work.count("utterances", sum(line.status == "ok" for line in lines))
    work.count("dropped_lines", sum(line.status == "dropped" for line in lines))

    shifted = [moved(line, offset) for line in lines]
    embeddings = work.path("embeddings.npz")
    np.savez(embeddings, ids=np.array([line.id for line in lines], dtype=str), embeddings=vectors, f0=pitches)
    work.progress(1.0)
    return {
        "utterances.jsonl": write_jsonl(work.path("utterances.jsonl"), shifted),
        "embeddings.npz": embeddings,
        "notes.json": write_notes(work.path("notes.json"), notes),
    }


def embedded_transcript(path: Path, title_end: float, language: str, notes: list[Note]) -> list[transcript.Given]:
    """Cues of the video's own subtitles in the language it speaks; none where none can be used, with a note."""
    chosen = choose_stream(path, language, "transcript")
    notes += chosen.notes
    if chosen.stream is None:
        return []
    try:
        cues = transcript.checked_cues(chosen.cues, title_end, language, notes.append)
        transcript.refuse_unusable(cues, title_end)
    except UsageError as error:
        notes.append(Note(kind="subtitles_missing", message=error.message))
        return []
    transcript.tell_dropped(cues, notes.append)
    return cues


class ChunkSound(NamedTuple):
    """A chunk's sound, mono 16 kHz, and where voice activity is seen in it; times from the chunk's start."""

    mix: np.ndarray
    vocals: np.ndarray
    on_mix: Sequence[Span]
    on_vocals: Sequence[Span]


def heard_apart(
    parts: Sequence[cue_splitting.Part],
    sound: ChunkSound,
    offset: float,
    language: str | None,
    settings: TranscriptionSettings,
    engines: Mapping[str, Any],
    notes: list[Note],
    work: Work,
) -> list[transcript.Given]:
    """Given lines; those that were parts of long cues at the times where they are heard."""
    if not any(part.rough for part in parts):
        return [part.given for part in parts]
    lines = listen(sound, language, settings, engines, work.progress) if language else []
    words = [word for line in lines if line.status == "ok" for word in line.words]
    heard = [word.model_copy(update={"start": word.start + offset, "end": word.end + offset}) for word in words]
    speech = [
        Span(start=span.start + offset, end=span.end + offset) for span in union([*sound.on_mix, *sound.on_vocals])
    ]
    out = [part.given for part in parts if not part.rough]
    cut = 0
    for _, group in itertools.groupby((part.given for part in parts if part.rough), key=lambda item: item.cue.line):
        placed = cue_splitting.placed(
            list(group), heard, speech, language or "", settings.split_gap_seconds, settings.max_utterance_seconds
        )
        cut, out = cut + 1, [*out, *placed]
    cues = "A long cue of the transcript was" if cut == 1 else f"{cut} long cues of the transcript were"
    message = f"{cues} taken apart at the times where the words are heard."
    notes.append(Note(kind="transcript_long_cue", message=message))
    return sorted(out, key=lambda item: (item.cue.start, item.cue.end))


def listen(
    sound: ChunkSound,
    language: str,
    settings: TranscriptionSettings,
    engines: Mapping[str, Any],
    progress: Callable[[float], None],
) -> list[Utterance]:
    """Recognise a chunk; times from its start."""
    mix, vocals, on_mix, on_vocals = sound
    speech = union([*on_mix, *on_vocals])
    # The separated voice shows best where it begins and ends; the mix's spans only where separation lost the voice.
    precise = union([*on_vocals, *(span for span in on_mix if not covered(on_vocals, span.start, span.end))])
    loudness = levels(vocals)
    duration = len(mix) / SPEECH_RATE
    spoken = sum(span.end - span.start for span in speech)
    sparse = duration > SPARSE_CHUNK_SECONDS and spoken < settings.min_speech_share * duration

    recognizer = engines["recognizer"]
    plain = whole(
        mix, language, recognizer, lambda share: progress(0.05 + 0.2 * share), timed=False, weight=WHOLE_WEIGHT
    )
    voice = whole(vocals, language, recognizer, lambda share: progress(0.25 + 0.2 * share), timed=True)
    plan = windows(speech, mix)
    by_window = []
    for number, window in enumerate(plan):
        progress(0.45 + 0.35 * number / len(plan))
        by_window.append((window, best_text(mix, vocals, window, language, recognizer)))
    hearings = [plain, windowed(by_window, language), voice]
    words = settle(vote(hearings), precise)
    groups = split(words, settings.split_gap_seconds, settings.max_utterance_seconds)
    groups = reunite(groups, settings.min_alphanumerics)
    groups = [reconsider(group, hearings, (mix, vocals), language, recognizer) for group in groups]
    groups = [part for group in groups for part in by_voice(group, vocals, engines["embedder"])]
    if not sparse:
        late = [
            hear_again(gap, (mix, vocals), language, recognizer, speech, settings) for gap in unheard(on_vocals, words)
        ]
        groups = sorted([*groups, *(group for group in late if group)], key=lambda group: group[0].word.start)
    progress(0.8)

    lines: list[Utterance] = []
    for i, group in enumerate(groups):
        first, last = group[0].word.start, group[-1].word.end
        before = groups[i - 1][-1].word.end if i else 0.0
        after = groups[i + 1][0].word.start if i + 1 < len(groups) else duration
        text = joined(group)
        if lines:
            before = max(before, lines[-1].end)  # one stream of words: its utterances do not overlap
        low, high = max(before, first - EDGE_SECONDS), min(after, last + EDGE_SECONDS)
        home = next((part for part in precise if part.start <= first < part.end), None)
        low = max(low, home.start - DETECTOR_LATE_SECONDS) if home else low
        span = hug(Span(start=max(first, before), end=max(last, before + 0.01)), loudness, low, high)
        span = breathing_room(span, len(text), before, after)
        logprob = float(np.mean([heard.mean_logprob for heard in group]))
        reason = refuse(
            text,
            language,
            seconds=span.end - span.start,
            mean_logprob=logprob,
            no_speech=float(np.mean([heard.no_speech for heard in group])),
            supported=covered(speech, span.start, span.end) / max(span.end - span.start, 1e-6),
            sparse=sparse,
            settings=settings,
        )
        lines.append(
            Utterance(
                id="",
                start=span.start,
                end=span.end,
                speaker=UNKNOWN_SPEAKER,
                language=language,
                text=text,
                words=[heard.word.model_copy(update={"text": heard.word.text.strip()}) for heard in group],
                mean_logprob=logprob,
                status="dropped" if reason else "ok",
                reason=reason,
            )
        )
    loops = next((hearing for hearing in hearings if hearing.loops), plain)
    lines += looped(loops, language, settings)

    def again(background: np.ndarray, wanted: Sequence[Span]) -> list[left_speech.Sentence]:
        return left_speech.listen(background, language, engines, lambda share: progress(0.8 + 0.05 * share), wanted)

    return [*lines, *hidden_lines(sound, lines, hearings, language, again)]


def hidden_lines(
    sound: ChunkSound,
    lines: Sequence[Utterance],
    hearings: Sequence[Hearing],
    language: str,
    again: Callable[[np.ndarray, Sequence[Span]], list[left_speech.Sentence]],
) -> list[Utterance]:
    """What a hearing claims where no line and no detector is, as far as it is believed; dropped, as doubtful.

    The stage ``residual`` might hear it in the background and reject the shot. So the gate opens there, and the voice
    is taken out. What is half believed is listened to once more as that stage will.

    Args:
        again: Hears a background, mono 16 kHz, around the spans that are wanted.
    """
    known = [Span(start=line.start, end=line.end) for line in lines if line.status == "ok"]
    opened = union([*known, *sound.on_mix, *sound.on_vocals])

    def alone(sentences: Sequence[left_speech.Sentence]) -> list[LeftSpeech]:
        shut = [
            item
            for item in sentences
            if covered(opened, item.span.start, item.span.end) <= (item.span.end - item.span.start) / 2
        ]
        judged = [left_speech.judge(item, lines, language) for item in shut]
        # Times of the plain call's words are those of their sentence: what a line says may seem to stand beside it.
        return [item for item in judged if 2 * len(item.shared) < len(left_speech.content(item.text, language))]

    claims = alone([item for hearing in hearings for item in left_speech.claims(hearing.words)])
    half = [Span(start=item.start, end=item.end) for item in claims if SUSPECTED <= item.belief < HIDDEN_BELIEF]
    if half:
        background = sound.mix.copy()
        for span in opened:
            first, last = (round(time * SPEECH_RATE) for time in (span.start, span.end))
            background[first:last] -= sound.vocals[first:last]
        claims += alone(again(background, union(half)))
    surest: list[LeftSpeech] = []
    for item in sorted(claims, key=lambda claim: (-claim.belief, claim.start, claim.text)):
        taken = union(Span(start=other.start, end=other.end) for other in surest)
        if item.belief >= HIDDEN_BELIEF and covered(taken, item.start, item.end) <= (item.end - item.start) / 2:
            surest.append(item)
    return [
        Utterance(
            id="",
            start=item.start,
            end=item.end,
            speaker=UNKNOWN_SPEAKER,
            language=language,
            text=item.text,
            mean_logprob=item.mean_logprob,
            status="dropped",
            reason="no_speech",
        )
        for item in surest
    ]


def looped(hearing: Hearing, language: str, settings: TranscriptionSettings) -> list[Utterance]:
    """What a hearing left out as a loop, as dropped lines: nothing that was heard is silent."""
    groups = split(hearing.loops, settings.split_gap_seconds, float("inf"))
    return [
        Utterance(
            id="",
            start=group[0].word.start,
            end=max(group[-1].word.end, group[0].word.start),
            speaker=UNKNOWN_SPEAKER,
            language=language,
            text=joined(group),
            mean_logprob=float(np.mean([heard.mean_logprob for heard in group])),
            status="dropped",
            reason="hallucination",
        )
        for group in groups
    ]


def best_text(
    mix: np.ndarray, vocals: np.ndarray, window: Span, language: str, recognizer: Recognizer
) -> list[Segment]:
    """What is said in a window: heard in the mix and, when that is poor, in the separated voice too."""
    in_mix = recognizer.transcribe(cut(mix, window), language)
    if belief(in_mix) >= POOR_LOGPROB:
        return in_mix
    in_vocals = recognizer.transcribe(cut(vocals, window), language)
    return in_vocals if belief(in_vocals) > belief(in_mix) else in_mix


def belief(segments: Sequence[Segment]) -> float:
    """Mean log-probability over the words; very low when nothing was heard."""
    counts = [len(segment.words) for segment in segments]
    if not sum(counts):
        return -10.0
    return float(np.average([segment.mean_logprob for segment in segments], weights=counts))


def from_cues(
    given: Sequence[transcript.Given],
    language: str,
    offset: float,
    vocals: np.ndarray,
    speech: Sequence[Span],
) -> list[Utterance]:
    """Given text as utterances, edges moved to the voice inside the cue: subtitles stand longer than people speak."""
    loudness = levels(vocals)
    lines = []
    for item in given:
        span = Span(start=item.cue.start - offset, end=item.cue.end - offset)
        if item.reason is None:
            spoken = within(speech, span.start, span.end)
            length = span.end - span.start
            if sum(part.end - part.start for part in spoken) >= 0.3 * length:
                inner = Span(start=span.start + spoken[0].start, end=span.start + spoken[-1].end)
                span = hug(inner, loudness, max(span.start, 0.0), span.end)
            span = breathing_room(span, len(item.cue.text), item.cue.start - offset, item.cue.end - offset)
        lines.append(
            Utterance(
                id="",
                start=span.start,
                end=span.end,
                speaker=item.cue.speaker or UNKNOWN_SPEAKER,
                language=language,
                text=item.cue.text,
                origin="given",
                status="dropped" if item.reason else "ok",
                reason=item.reason,
            )
        )
    return lines


def voices(
    lines: Sequence[Utterance],
    vocals: np.ndarray,
    mix: np.ndarray,
    embedder: Embedder,
    progress: Callable[[float], None],
) -> tuple[np.ndarray, np.ndarray]:
    """Embeddings ``[n, size]`` (zeros where there is no sound or the line was dropped) and median f0, NaN for none."""
    vectors = np.zeros((len(lines), embedder.size), dtype=np.float32)
    pitches = np.full(len(lines), np.nan, dtype=np.float32)
    for i, line in enumerate(lines):
        progress(0.85 + 0.15 * i / len(lines))
        if line.status == "dropped":
            continue
        span = Span(start=line.start, end=line.end)
        voice = cut(vocals, span)
        if rms(voice) < SILENT_RMS:
            voice = cut(mix, span)
        if rms(voice) < SILENT_RMS:
            continue
        vectors[i] = embedder.embed(voice)
        pitch = median_f0(voice)
        if pitch:
            pitches[i] = pitch
    return vectors, pitches


def moved(line: Utterance, offset: float) -> Utterance:
    """Times from the chunk's start → title times, to the millisecond."""
    words = [
        word.model_copy(update={"start": round(word.start + offset, 3), "end": round(word.end + offset, 3)})
        for word in line.words
    ]
    start, end = round(line.start + offset, 3), round(line.end + offset, 3)
    return line.model_copy(update={"start": max(start, 0.0), "end": max(end, 0.0), "words": words})
