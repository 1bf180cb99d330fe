"""Shots cut out of files and encoded: what runs in a child process, for the files may be anybody's."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import av.error
import numpy as np

from shared.audio.files import FlacWriter, length, read_audio
from shared.core.errors import InputError
from shared.core.records import SAMPLE_RATE, Probe
from shared.media import child
from shared.media.opened_file import Decoded, open_media, shows_in_order
from shared.media.picture import frames, pixel_shape
from shared.media.probing import examine, origin
from shared.media.sound import Timeline
from shared.settings.models import LimitSettings
from trainer.shards.encoding import EARLY, encode_picture, encode_sound, fit, on_grid
from trainer.shards.records import FPS, ShotPlan, SoundSource

SHORTEST, LONGEST = 3.0, 12.0
"""Seconds of a shot (paper, Pretraining data)."""

SILENT = 2
"""Steps of 16 bits that something must exceed to be heard: −84 dBFS."""

PREROLL = 2.0
"""Seconds before a shot that are sought: key frames of other containers lie where they like."""


def cut(plans: list[dict[str, Any]], folder: str, progress: Callable[[float], None] = child.ignore) -> list[Any]:
    """Members of some shots as files ``<folder>/<number>.<extension>``.

    Returns:
        For each plan ``{"frames", "samples", "members", "left_out"}``, or ``{"reason"}`` where there is no shot.
    """
    cutter = Cutter(Path(folder))
    made = []
    for number, plan in enumerate(plans):
        progress(number / len(plans))
        try:
            made.append(cutter.shot(ShotPlan.model_validate(plan), number))
        except InputError as error:
            made.append({"reason": error.code})
        except av.error.FFmpegError as error:
            if isinstance(error, OSError) and error.errno in {28, 12}:
                raise
            made.append({"reason": "bad_picture"})
    return made


class Cutter:
    """Holds what is known of the files that several shots are cut from."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._probes: dict[str, Probe] = {}
        self._masters: dict[tuple[str, int], Path] = {}
        self._most_pixels = LimitSettings().max_pixels

    def shot(self, plan: ShotPlan, number: int) -> dict[str, Any]:
        """Write one shot's members.

        Raises:
            InputError: What makes the shot unusable; a dub that is unusable is left out instead.
        """
        probe = self._probe(plan.picture)
        end = plan.end if plan.end is not None else probe.video.duration
        seconds = end - plan.start
        if plan.end is None and not SHORTEST - 0.5 / FPS <= seconds <= LONGEST + 0.5 / FPS:
            code = "too_short" if seconds < SHORTEST else "too_long"
            raise InputError(f"The shot lasts {seconds:.1f} s.", code=code)
        ticks, samples = max(1, int(seconds * FPS + 1e-4)), round(seconds * SAMPLE_RATE)
        members, left_out = {}, {}
        for track, source in plan.sounds.items():
            try:
                members[f"{track}.flac"] = encode_sound(self._sound(source, plan.start, samples))
            except InputError as error:
                if track == "orig":
                    raise
                left_out[track] = error.code
        with open_media(Path(plan.picture)) as container:
            shape = pixel_shape(container, probe)
            shown = on_grid(self._pictures(container, probe, plan, end), ticks)
            members = {"mp4": encode_picture(shown, shape, probe.video.rotation), **members}
        members["json"] = facts_of(plan, end, ticks, samples, left_out)
        for name, content in members.items():
            (self._folder / f"{number}.{name}").write_bytes(content)
        return {"frames": ticks, "samples": samples, "members": list(members), "left_out": left_out}

    def _probe(self, path: str) -> Probe:
        if path not in self._probes:
            facts = examine(path, self._most_pixels)
            self._probes[path] = Probe.model_validate({**facts, "size_bytes": 0, "sha256": ""})
        return self._probes[path]

    def _pictures(self, container: Any, probe: Probe, plan: ShotPlan, end: float) -> Iterator[tuple[float, Any]]:
        """Frames with their times from the shot's start."""
        zero = plan.picture_start if plan.end is not None else probe.video.start
        if zero - probe.video.start > PREROLL and not shows_in_order(container) and not probe.restarts:
            container.seek(int((zero - PREROLL) * 1e6))
        for time, frame in frames(container, probe, self._most_pixels, threads=1):
            at = time + origin(probe) - zero
            if at >= end - plan.start - EARLY:
                break
            # What is shown before the cut belongs to another shot.
            if at >= -EARLY:
                yield at, frame

    def _sound(self, source: SoundSource, start: float, samples: int) -> np.ndarray:
        """``[channels, samples]`` of the shot.

        Raises:
            InputError: ``bad_audio``, ``silent``, ``no_sound`` …
        """
        first = round(start * SAMPLE_RATE)
        if source.stream is None:
            audio = read_audio(Path(source.path), first, first + samples)
            if audio.shape[1] < samples - SAMPLE_RATE // FPS:
                raise InputError("The track ends before the shot.", code="short_sound")
            return fit(audio, samples)
        key = (source.path, source.stream)
        if key not in self._masters:
            self._masters[key] = self._folder / f"master-{len(self._masters)}.flac"
            master(Path(source.path), source.stream, self._probe(source.path), self._masters[key])
        path = self._masters[key]
        audio = read_audio(path, min(first, length(path)[0]), first + samples)
        if not audio.size or np.abs(audio).max() * 2**15 < SILENT:
            raise InputError("Nothing is heard on the track.", code="silent")
        return fit(audio, samples)


def master(path: Path, stream: int, probe: Probe, out: Path) -> None:
    """One sound stream of a file as 48 kHz FLAC that begins with its picture; ``stream`` −1 is the default one.

    Raises:
        InputError: ``no_sound``, ``bad_audio``.
    """
    import soxr

    from shared.media.opened_file import audio_stream

    with open_media(path) as container:
        sounds = [sound for sound in container.streams.audio if stream in {-1, sound.index}]
        own = probe.audio.index if probe.audio else None
        chosen = audio_stream(container, own) if stream == -1 else next(iter(sounds), None)
        if chosen is None:
            raise InputError("The file has no such sound.", code="no_sound")
        decoded = Decoded(container, chosen, probe.restarts)
        rate, channels = chosen.codec_context.sample_rate or SAMPLE_RATE, min(chosen.codec_context.channels or 1, 2)
        line = Timeline(decoded, rate, channels, probe.video.start, LimitSettings().max_seconds)
        resampler = soxr.ResampleStream(rate, SAMPLE_RATE, channels, dtype="float32", quality="HQ")
        with FlacWriter(out, channels) as file:
            for block in line.blocks():
                file.write(np.clip(resampler.resample_chunk(block).T, -1.0, 1.0))
            file.write(np.clip(resampler.resample_chunk(np.zeros((0, channels), np.float32), last=True).T, -1.0, 1.0))
        if line.first is None:
            raise InputError("Nothing of the sound can be decoded.", code="bad_audio")


def facts_of(plan: ShotPlan, end: float, ticks: int, samples: int, left_out: dict[str, str]) -> bytes:
    """The shot's ``json``."""
    tracks = {
        name: {"language": source.language, **plan.facts.get(name, {})}
        for name, source in plan.sounds.items()
        if name not in left_out
    }
    facts = {
        "schema_version": 1,
        "title": plan.title,
        "shot": plan.shot,
        "start": plan.start,
        "end": end,
        "source_language": plan.source_language,
        "fps": FPS,
        "frames": ticks,
        "sample_rate": SAMPLE_RATE,
        "samples": samples,
        "tracks": tracks,
    }
    return json.dumps(facts, ensure_ascii=False, sort_keys=True).encode()
