"""Cut the beginning of the bundled sample, without encoding: ``python -m tests.sample.cut 12 short.mp4``."""

from __future__ import annotations

import sys
from pathlib import Path

import av

SAMPLE = Path(__file__).with_name("sample.mp4")


def cut(seconds: float, target: Path) -> Path:
    """Write the packets of the first ``seconds`` of the sample to ``target``."""
    with av.open(str(SAMPLE)) as source, av.open(str(target), "w") as sink:
        streams = {stream.index: sink.add_stream_from_template(stream) for stream in source.streams}
        for packet in source.demux():
            if packet.dts is not None and packet.pts * packet.time_base < seconds:
                packet.stream = streams[packet.stream.index]
                sink.mux(packet)
    return target


if __name__ == "__main__":
    cut(float(sys.argv[1]), Path(sys.argv[2]))
