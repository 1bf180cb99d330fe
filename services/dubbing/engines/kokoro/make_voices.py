"""Make ``voices.npz``: what every Kokoro style sounds like to the speaker encoder.

    python -m services.dubbing.engines.kokoro.make_voices

Casting by synthesis costs 5–17 s a language; the table makes it free. Run again when the weights change (their hash
is inside) or the encoder does. About four minutes on one core.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np

from services.dubbing.engines.kokoro.engine import KokoroSynthesizer
from services.dubbing.engines.kokoro.voices import STYLES
from shared.audio.resemblyzer import Resemblyzer
from shared.audio.signal import SPEECH_RATE, resample
from shared.engines.protocols import EngineOptions, SpeechRequest, WeightFiles

SENTENCE = "The quick brown fox jumps over the lazy dog, while nobody was watching."
"""One English sentence for all: a style keeps 0.84–0.90 of itself across languages."""


def embedding(style: str, synthesizer: KokoroSynthesizer, embedder: Resemblyzer) -> np.ndarray:
    """Embedding of one style saying the sentence, ``[256]``."""
    audio = synthesizer.synthesize(SpeechRequest(SENTENCE, "en", style))
    return np.asarray(embedder.embed(resample(audio, synthesizer.sample_rate, SPEECH_RATE)), np.float32)


def make(weights: WeightFiles, path: Path) -> None:
    synthesizer = KokoroSynthesizer(EngineOptions(), weights)
    embedder = Resemblyzer(EngineOptions(), weights)
    rows = np.stack([embedding(style, synthesizer, embedder) for style in STYLES])
    model = weights.path("kokoro-82m-int8") / "kokoro-v1.0.int8.onnx"
    digest = hashlib.sha256(model.read_bytes()).hexdigest()
    np.savez_compressed(path, styles=np.array(STYLES), embeddings=rows.astype(np.float16), model_sha256=digest)


if __name__ == "__main__":
    from shared.weights import WeightFolder

    make(WeightFolder(), Path(__file__).with_name("voices.npz"))
