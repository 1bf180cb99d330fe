"""The sound of a file as a 48 kHz FLAC on the title's own clock.

Timestamps rule, not counting samples: gaps are filled with silence, overlaps are cut, so that sound cannot drift away
from the picture. Resampling is libsoxr's “HQ” (through python-soxr), streaming and without delay.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import soundfile as sf
import soxr

from shared.audio.files import FlacWriter
from shared.core.errors import InputError, StorageError
from shared.core.records import SAMPLE_RATE, Probe
from shared.media import child
from shared.media.opened_file import Decoded, as_float, audio_stream, open_media
from shared.media.probing import origin
from shared.settings.models import LimitSettings

JITTER = 0.02
"""Seconds that a timestamp may be off before it is believed: containers round, and 20 ms is below what one sees."""

TIMELINE_SLACK = 60.0
"""Seconds of sound that may follow after the end that the packets told of."""

_FRONT = {"FL": (1.0, 0.0), "FR": (0.0, 1.0), "FC": (0.5**0.5, 0.5**0.5)}
_SIDE = {"SL": (0.5**0.5, 0.0), "SR": (0.0, 0.5**0.5), "BL": (0.5**0.5, 0.0), "BR": (0.0, 0.5**0.5)}
_OTHER = {"BC": (0.5, 0.5), "FLC": (0.5**0.5, 0.0), "FRC": (0.0, 0.5**0.5), "LFE": (0.0, 0.0), "LFE2": (0.0, 0.0)}
DOWNMIX = _FRONT | _SIDE | _OTHER
"""Left and right share of a channel (ITU-R BS.775; the LFE is left out, as is usual). Fronts keep their level, whatever
the layout, so that none changes where a film goes from stereo to 5.1."""


USUAL = {
    3: ("FL", "FR", "LFE"),
    4: ("FL", "FR", "FC", "BC"),
    5: ("FL", "FR", "FC", "BL", "BR"),
    6: ("FL", "FR", "FC", "LFE", "BL", "BR"),
    7: ("FL", "FR", "FC", "LFE", "BC", "SL", "SR"),
    8: ("FL", "FR", "FC", "LFE", "BL", "BR", "SL", "SR"),
}
"""Channels by their number, as FFmpeg takes them where nothing is said."""


class Sound(NamedTuple):
    """What was decoded."""

    samples: int
    """Of the FLAC, at 48 kHz."""
    channels: int
    start: float
    """Of the decoded sound, seconds on the file's own clock; 0 without sound."""
    end: float
    corrupt: int
    """Packets that could not be decoded; silence stands for them."""
    filled: float
    """Seconds of silence put into gaps, those before the start and after the end not counted."""
    trimmed: float
    """Seconds of sound dropped because timestamps overlapped."""
    gain_db: float = 0.0
    """Of the whole sound, below 0 where channels mixed down would clip else."""


def decode_audio(
    path: Path,
    probe: Probe,
    out: Path,
    limits: LimitSettings | None = None,
    progress: child.Progress = child.ignore,
) -> Sound:
    """Write the 24-bit 48 kHz master of a file, in a child process.

    Sample ``n`` is at ``n / 48000`` s on the title's clock. Sound that starts later than the picture is preceded by
    silence; the file lasts to the latest end of both streams. One channel stays one, two stay two, more are mixed
    down to two; without sound the master is one silent channel.

    Raises:
        InputError: ``too_long`` when the timestamps go beyond the limits, ``decode_timeout``, ``decode_memory``,
            ``decode_crashed``.
        StorageError: ``disk_full``.
    """
    limits = limits or LimitSettings()
    result = child.call(
        "shared.media.sound:decode",
        {"path": str(path), "probe": probe.model_dump(), "out": str(out), "max_seconds": limits.max_seconds},
        timeout=limits.decode_timeout_factor * probe.duration + 60,
        progress=progress,
    )
    return Sound(**result)


def decode(
    path: str, probe: dict[str, Any], out: str, max_seconds: float, progress: Callable[[float], None] = child.ignore
) -> dict[str, Any]:
    """The child's part of :func:`decode_audio`."""
    facts = Probe.model_validate(probe)
    zero = origin(facts)
    video_end = facts.video.start + facts.video.duration
    try:
        if facts.audio is None:
            samples = round((video_end - zero) * SAMPLE_RATE)
            with FlacWriter(Path(out), 1) as master:
                write_silence(master, samples, 1)
            return Sound(samples, 1, 0.0, 0.0, 0, 0.0, 0.0)._asdict()
        latest = min(max_seconds, facts.duration + TIMELINE_SLACK)
        sound, peak, gain = _decode(path, facts, zero, latest, out, 1.0, progress)
        if peak > 1.0:
            sound, _, gain = _decode(path, facts, zero, latest, out, 1.0 / peak, progress)
        return sound._replace(gain_db=20 * float(np.log10(gain)))._asdict()
    except (sf.LibsndfileError, AssertionError) as error:
        raise StorageError(
            "The sound cannot be written: the disk may be full. Free some space and run again.",
            code="disk_full",
            retryable=True,
        ) from error


def _decode(
    path: str, facts: Probe, zero: float, latest: float, out: str, gain: float, progress: child.Progress
) -> tuple[Sound, float, float]:
    """The sound written with a gain, the peak of what was mixed down in it, and the gain."""
    assert facts.audio is not None
    with open_media(Path(path)) as container:
        decoded = Decoded(container, audio_stream(container, facts.audio.index), facts.restarts)
        return *_write(decoded, facts, zero, latest, Path(out), gain, progress), gain


def _write(
    decoded: Decoded, facts: Probe, zero: float, latest: float, out: Path, gain: float, progress: child.Progress
) -> tuple[Sound, float]:
    audio = facts.audio
    assert audio is not None
    rate, channels = audio.sample_rate, min(audio.channels, 2)
    line = Timeline(decoded, rate, channels, zero, latest)
    resampler = soxr.ResampleStream(rate, SAMPLE_RATE, channels, dtype="float32", quality="HQ")
    with FlacWriter(out, channels) as master:

        def put(block: np.ndarray, last: bool = False) -> None:
            # Lossy codecs overshoot full scale by a little, and integers would wrap around.
            master.write(np.clip(resampler.resample_chunk(block, last=last).T, -1.0, 1.0))
            progress(min(1.0, master.samples / SAMPLE_RATE / max(facts.duration, 1e-3)))

        for block in line.blocks():
            put(block * np.float32(gain))
        put(np.zeros((0, channels), np.float32), last=True)
        end = zero + line.position / rate
        samples = round((max(end, facts.video.start + facts.video.duration) - zero) * SAMPLE_RATE)
        write_silence(master, samples - master.samples, channels)
    start = zero + (line.first or 0) / rate
    sound = Sound(samples, channels, start, end, decoded.corrupt, line.filled / rate, line.trimmed / rate)
    return sound, line.mixed_peak


def write_silence(out: FlacWriter, samples: int, channels: int) -> None:
    """Append zeros, ten seconds at a time."""
    while samples > 0:
        count = min(samples, 10 * SAMPLE_RATE)
        out.write(np.zeros((channels, count), np.float32))
        samples -= count


class Timeline:
    """Decoded frames laid on the title's clock at the file's own sample rate.

    Args:
        decoded: Frames of the audio stream.
        rate: Sample rate of the timeline, Hz; frames of another rate are converted one by one.
        channels: 1 or 2.
        zero: Title's zero on the file's clock, seconds.
        latest: Title time that nothing may lie beyond, seconds.
    """

    def __init__(self, decoded: Decoded, rate: int, channels: int, zero: float, latest: float) -> None:
        self.position = 0
        """Samples laid so far."""
        self.first: int | None = None
        """Where the sound began, samples."""
        self.filled = 0
        self.trimmed = 0
        self.mixed_peak = 0.0
        """Of what was mixed down from more channels than two, full scale 1."""
        self._decoded, self._rate, self._channels, self._zero, self._latest = decoded, rate, channels, zero, latest
        self._layouts: dict[tuple[str, ...], np.ndarray] = {}

    def blocks(self) -> Iterator[np.ndarray]:
        """Contiguous ``[samples, channels]`` float32 from the title's zero on."""
        for frame in self._decoded:
            block = self._samples(frame)
            if frame.time is not None:
                gap = round((frame.time - self._zero) * self._rate) - self.position
                if self.first is None or abs(gap) > JITTER * self._rate:
                    # What is decoded at the start is exact; from then on jitter is only that.
                    yield from self._silence(gap)
                    if gap < 0:
                        self.trimmed += min(-gap, len(block))
                        block = block[-gap:]
            if self.first is None and len(block):
                self.first = self.position
            self.position += len(block)
            self._check(self.position)
            yield block

    def _silence(self, count: int) -> Iterator[np.ndarray]:
        self._check(self.position + count)
        if self.first is not None:
            self.filled += max(count, 0)
        while count > 0:
            some = min(count, 10 * self._rate)
            self.position += some
            count -= some
            yield np.zeros((some, self._channels), np.float32)

    def _check(self, position: int) -> None:
        if position > self._latest * self._rate:
            raise InputError(
                f"The sound's timestamps go on beyond {self._latest:.0f} s: the file is damaged or too long.",
                code="too_long",
            )

    def _samples(self, frame: Any) -> np.ndarray:
        block = self._mix(as_float(frame), frame.layout)
        if frame.sample_rate == self._rate:
            return block
        return np.asarray(soxr.resample(block, frame.sample_rate, self._rate), dtype=np.float32)

    def _mix(self, block: np.ndarray, layout: Any) -> np.ndarray:
        names = names_of(layout)
        if len(names) == self._channels:
            return block
        if names not in self._layouts:
            matrix = downmix(names)
            self._layouts[names] = matrix if self._channels == 2 else matrix.mean(axis=1, keepdims=True)
        mixed = np.asarray(block @ self._layouts[names], dtype=np.float32)
        if len(names) > 2 and mixed.size:
            self.mixed_peak = max(self.mixed_peak, float(np.abs(mixed).max()))
        return mixed


def names_of(layout: Any) -> tuple[str, ...]:
    """The channels of a layout; where a file does not say what they are, those that so many usually are."""
    names = tuple(channel.name for channel in layout.channels)
    usual = USUAL.get(len(names))
    return usual if usual and not any(name in DOWNMIX for name in names) else names


def downmix(names: tuple[str, ...]) -> np.ndarray:
    """Matrix ``[channels, 2]`` to stereo by channel names, fronts at their own level: what comes of it may clip.

    Mono goes to both sides. Channels without a known place go to both sides alike.
    """
    if len(names) == 1:
        return np.ones((1, 2), np.float32)
    return np.array([DOWNMIX.get(name, (0.5, 0.5)) for name in names], dtype=np.float32)
