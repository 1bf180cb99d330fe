"""Files whose clock begins again in the middle: recordings put together, or a recorder that was started anew."""

from __future__ import annotations

from typing import Any, NamedTuple

from shared.core.records import Restart

BACK_SECONDS = 0.1
"""A packet that is to be decoded so much before the one before it belongs to another recording (as FFmpeg has it)."""
AHEAD_SECONDS = 10.0
"""So much ahead it does too, where clocks may leap (FFmpeg's ``dts_delta_threshold``)."""
NEAR_SECONDS = 2.0
"""The packet after it must be so near, or it was one wrong time and no other recording."""
LEAPING = {"mpegts", "mpeg"}
"""Containers whose clock may leap ahead."""
RISING = {"mov", "matroska", "webm", "avi"}
"""Containers that cannot be put together byte by byte, or have no clock."""


class Leap(NamedTuple):
    """Where one stream's clock leaps."""

    position: int
    stream: int
    before: float
    """Seconds at which what came before ends."""
    after: float
    """Seconds at which it goes on."""


class State:
    """How far a stream has come."""

    def __init__(self) -> None:
        self.time: float | None = None
        self.end = 0.0
        self.doubtful: Leap | None = None


class Restarts:
    """Finds leaps of the clocks in the packets of a file's streams, given in the order of the file."""

    def __init__(self, container: str) -> None:
        names = set(container.split(","))
        self.watching = not names & RISING
        self._leaping = bool(names & LEAPING)
        self._streams: dict[int, State] = {}
        self._leaps: list[Leap] = []

    def add(self, packet: Any) -> None:
        if not self.watching or packet.dts is None or packet.size == 0:
            return
        state = self._streams.setdefault(packet.stream.index, State())
        time = float(packet.dts * packet.time_base)
        length = float((packet.duration or 0) * packet.time_base)
        if state.doubtful is not None:
            if abs(time - state.doubtful.after) < NEAR_SECONDS:
                self._leaps.append(state.doubtful)
                state.time = state.doubtful.after
                state.end = state.time
            state.doubtful = None
        if state.time is not None:
            back = time < state.time - BACK_SECONDS
            ahead = self._leaping and time > state.end + AHEAD_SECONDS
            if back or ahead:
                place = packet.pos if packet.pos is not None and packet.pos >= 0 else 0
                state.doubtful = Leap(place, packet.stream.index, state.end, time)
                return
        # Packets of transport streams may not say how long they last.
        step = time - state.time if state.time is not None else 0.0
        state.time, state.end = time, time + (length or max(step, 0.0))

    def list_restarts(self) -> list[Restart]:
        """Where the clock begins again, and what is added from there on: the first stream to leap has no gap."""
        groups: list[list[Leap]] = []
        for leap in sorted(self._leaps):
            if groups and leap.stream not in {other.stream for other in groups[-1]}:
                groups[-1].append(leap)
            else:
                groups.append([leap])
        shift, out = 0.0, []
        for group in groups:
            shift += group[0].before - group[0].after
            out.append(Restart(position=group[0].position, shift=shift))
        return out
