"""Proof that a title's tracks do not leak: null test of each, shortcut probe of each dub against control and orig."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import chain
from pathlib import Path

import numpy as np
import soundfile as sf

from services.pairing.acceptance.facts import TitleFacts
from shared.audio.files import length
from shared.core.records import SAMPLE_RATE
from shared.quality.null import Residual, null_test
from shared.quality.shortcut import ShortcutProbe, features, free_blocks, probe
from shared.schemas.layout import CONTROL, ORIG
from shared.schemas.quality import ShortcutResult


def null_tests(facts: TitleFacts, inputs: Mapping[str, Path], progress: Callable[[float], None]) -> dict[str, Residual]:
    """Null test of each synthetic track, with the peak of each shot in the order of ``facts.shots``."""
    windows = [(round(shot.start * SAMPLE_RATE), round(shot.end * SAMPLE_RATE)) for shot in facts.shots]
    tracks = [name for name, track in facts.tracks.items() if track.synthetic]
    residuals = {}
    for done, name in enumerate(tracks, 1):
        residuals[name] = null_test(
            inputs[f"tracks/{name}"], inputs[f"speech/{name}"], inputs["background.flac"], windows
        )
        progress(done / len(tracks))
    return residuals


def shortcut_tests(
    facts: TitleFacts, inputs: Mapping[str, Path], progress: Callable[[float], None]
) -> list[ShortcutResult]:
    """Probe control against each dub, orig against each dub, and orig against control.

    All probes hear the same blocks: those where no track of the title speaks. Speech is what was heard or placed, not
    where a gate was open, so that what leaks at the edges of speech is found.
    """
    samples, _ = length(inputs[f"tracks/{ORIG}"])
    placed = [(line.start, line.end) for track in facts.tracks.values() for line in track.spoken]
    speech = chain(placed, *(track.activity.spans for track in facts.tracks.values()))
    starts, groups = free_blocks([(shot.start, shot.end) for shot in facts.shots], speech, samples)
    seen: dict[str, np.ndarray] = {}
    blocks: dict[bytes, np.ndarray] = {}
    for done, name in enumerate(facts.tracks, 1):
        with sf.SoundFile(str(inputs[f"tracks/{name}"])) as file:
            seen[name] = features(reader(file), starts, blocks)
        progress(0.8 * done / len(facts.tracks))
    dubs = [name for name in facts.tracks if name not in {ORIG, CONTROL}]
    couples = [(CONTROL, dub) for dub in dubs] + [(ORIG, dub) for dub in dubs] + [(ORIG, CONTROL)]
    results = []
    known: dict[tuple[bytes, bytes], ShortcutProbe] = {}
    for a, b in couples:
        if a in seen and b in seen:
            # Dubs that are alike outside speech give one and the same answer.
            key = (seen[a].tobytes(), seen[b].tobytes())
            result = known[key] = known.get(key) or probe(seen[a], seen[b], groups)
            results.append(ShortcutResult(a=a, b=b, **result._asdict()))
    progress(1.0)
    return results


def reader(file: sf.SoundFile) -> Callable[[int, int], np.ndarray]:
    """Reads ranges of an open file, ``[channels, samples]``."""

    def read(start: int, stop: int) -> np.ndarray:
        file.seek(start)
        return np.ascontiguousarray(file.read(stop - start, dtype="float32", always_2d=True).T)

    return read
