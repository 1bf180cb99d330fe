"""Change the tempo of speech, exact to the sample, by Signalsmith Stretch or by FFmpeg."""

from __future__ import annotations

from fractions import Fraction
from importlib.util import find_spec

import numpy as np

from shared.audio.signal import fit_length
from shared.core.records import SAMPLE_RATE


def stretch(audio: np.ndarray, samples: int, sample_rate: int = SAMPLE_RATE) -> np.ndarray:
    """Make mono ``audio`` exactly ``samples`` long, pitch unchanged."""
    if samples <= 0 or not audio.size:
        return np.zeros(max(samples, 0), np.float32)
    if samples == audio.size:
        return audio.astype(np.float32, copy=True)
    process = _process_signalsmith if find_spec("python_stretch") else _process_atempo
    return fit_length(process(audio.astype(np.float32), sample_rate, audio.size / samples), samples)


def _process_signalsmith(audio: np.ndarray, sample_rate: int, tempo: float) -> np.ndarray:
    from python_stretch import Signalsmith

    engine = Signalsmith.Stretch()
    engine.preset(1, sample_rate)
    engine.setTimeFactor(tempo)
    # Zeros keep the end of the sound out of the library's last, unfinished block.
    latency = engine.inputLatency() + engine.outputLatency()
    padded = np.pad(audio, (0, latency))
    stretched: np.ndarray = np.asarray(engine.process(padded[None]), np.float32)[0]
    return stretched


def _process_atempo(audio: np.ndarray, sample_rate: int, tempo: float) -> np.ndarray:
    """The same by FFmpeg's ``atempo``, for machines that Signalsmith Stretch has no wheel for."""
    import av
    import av.filter

    graph = av.filter.Graph()
    source = graph.add_abuffer(sample_rate=sample_rate, format="flt", layout="mono", time_base=Fraction(1, sample_rate))
    # One link takes 0.5 to 100.
    links = [min(max(tempo, 0.5), 100.0)]
    while (rest := tempo / float(np.prod(links))) < 0.999 or rest > 1.001:
        links.append(min(max(rest, 0.5), 100.0))
    chain = [source, *(graph.add("atempo", f"{link:.9f}") for link in links), graph.add("abuffersink")]
    graph.link_nodes(*chain).configure()
    # Zeros push the end of the sound out of the filter's last, unfinished window (at most 2^13 samples at 48 kHz).
    padded = np.pad(audio, (0, int(0.2 * sample_rate)))
    frame = av.AudioFrame.from_ndarray(padded[None], format="flt", layout="mono")
    frame.sample_rate, frame.pts = sample_rate, 0
    graph.push(frame)
    graph.push(None)
    pieces: list[np.ndarray] = []
    while True:
        try:
            pieces.append(graph.pull().to_ndarray()[0])
        except (BlockingIOError, EOFError):
            return np.concatenate(pieces or [np.zeros(0, np.float32)])
