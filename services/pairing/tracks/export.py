"""Export: what people open. One video with every track and subtitle, and the texts as files."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from services.pairing.tracks.chunks import in_order
from shared.core.languages import name as language_name
from shared.core.records import DubbedUtterance, Probe, Utterance, read_jsonl, write_jsonl
from shared.media.muxing import TitleContents, Track, mux_title
from shared.media.subtitles import Cue, to_srt, to_vtt
from shared.pipeline.stage import Scope, Work
from shared.schemas.digital_source import COMPOSITE, ENHANCED, mark
from shared.schemas.layout import CONTROL, ORIG, clip_suffix, track_language
from shared.settings.models import LimitSettings, PairingSettings, Section


class ExportOptions(Section):
    """What exports depend on."""

    pairing: PairingSettings
    limits: LimitSettings


def run(
    scope: Scope, inputs: Mapping[str, Path], settings: ExportOptions, engines: Mapping[str, Any], work: Work
) -> dict[str, Path]:
    """``source``, ``probe.json``, ``tracks/<track>``, ``utterances.jsonl``, ``dubbed/<track>/NNNN`` → what people open.

    Outputs: ``title.mkv`` and ``title.mp4`` as the settings want, and by a track's label ``<label>.srt`` and
    ``<label>.vtt`` (not of control, whose text is the source's) and ``<label>.jsonl`` (of synthetic tracks).
    """
    outputs, subtitles = texts(scope, inputs, work)
    probe = Probe.model_validate_json(inputs["probe.json"].read_text(encoding="utf-8"))
    source_language = scope.extra.get("source_language")
    tracks = []
    for track in scope.extra["tracks"]:
        language = track_language(track, source_language)
        tracks.append(Track(track, language, inputs[f"tracks/{track}"], track_title(track, language)))
    dubs = tuple(track for track in scope.extra["tracks"] if track not in (ORIG, CONTROL))
    contents = TitleContents(tracks, subtitles, mark(COMPOSITE if dubs else ENHANCED, dubs))
    wanted = {".mkv": settings.pairing.export_mkv, ".mp4": settings.pairing.export_mp4}
    suffixes = [suffix for suffix, yes in wanted.items() if yes]
    outputs |= {f"title{suffix}": work.path(f"title{suffix}") for suffix in suffixes}
    shares = dict.fromkeys(suffixes, 0.0)

    def write(suffix: str) -> None:
        def progress(share: float) -> None:
            shares[suffix] = share
            work.progress(sum(shares.values()) / len(shares))

        out, pairing = outputs[f"title{suffix}"], settings.pairing
        mux_title(inputs["source"], probe, contents, out, pairing.aac_bitrate, settings.limits, progress)

    # Each is a child process that keeps one core busy with encoding sound.
    with ThreadPoolExecutor(max(len(suffixes), 1)) as writers:
        list(writers.map(write, suffixes))
    return outputs


def track_title(track: str, language: str | None) -> str:
    """What a player shows: ``Spanish (dub)``, ``English (original)``."""
    kind = {ORIG: "original", CONTROL: "control"}.get(track, "dub")
    return f"{language_name(language)} ({kind})" if language else kind


def texts(scope: Scope, inputs: Mapping[str, Path], work: Work) -> tuple[dict[str, Path], list[tuple[str, Path]]]:
    """Subtitle and utterance files by name; the SRT files again with their languages."""
    source_language = scope.extra.get("source_language")
    outputs: dict[str, Path] = {}
    subtitles = []
    for track in scope.extra["tracks"]:
        label = clip_suffix(track, source_language)
        if track == ORIG:
            spoken = read_jsonl(inputs["utterances.jsonl"], Utterance)
            cues = [Cue(line.start, line.end, line.text, line.speaker) for line in spoken if line.status == "ok"]
        else:
            dubbed = [
                line for path in in_order(inputs, f"dubbed/{track}") for line in read_jsonl(path, DubbedUtterance)
            ]
            outputs[f"{label}.jsonl"] = write_jsonl(work.path(f"{label}.jsonl"), dubbed)
            cues = dubbed_cues(dubbed)
        if track != CONTROL:
            language = source_language if track == ORIG else track
            for suffix, write in (("srt", to_srt), ("vtt", to_vtt)):
                path = outputs[f"{label}.{suffix}"] = work.path(f"{label}.{suffix}")
                path.write_text(write(cues, language or "und"), encoding="utf-8")
            subtitles.append((language or "und", outputs[f"{label}.srt"]))
    return outputs, subtitles


def dubbed_cues(lines: list[DubbedUtterance]) -> list[Cue]:
    """What is heard, when it is heard; what failed is shown at the original's time, for it was said."""
    cues = []
    for line in lines:
        heard = line.end > line.start
        if line.status != "dropped":
            start, end = (line.start, line.end) if heard else (line.source_start, line.source_end)
            cues.append(Cue(start, end, line.text, line.speaker))
    return cues
