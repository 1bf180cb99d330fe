"""Make ``mixes.npz``: random mixes of Kokoro's styles at random pitch, and what the speaker encoder hears.

    python -m services.dubbing.engines.kokoro.make_mixes

About two seconds a mix on one core. Run again when the weights change (their hash is inside) or the encoder does.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np

from services.dubbing.engines.kokoro.engine import PROBES, KokoroSynthesizer, prosody_style
from services.dubbing.engines.kokoro.mix_search import COORDINATES, USUAL_HZ
from services.dubbing.engines.kokoro.phonemes import LANGUAGES
from services.dubbing.engines.kokoro.voices import COLOUR, STYLES, read_style
from services.dubbing.post_processing import trim
from shared.audio.pitch import median_f0
from shared.audio.resemblyzer import Resemblyzer
from shared.audio.signal import SPEECH_RATE, resample
from shared.engines.protocols import EngineOptions, SpeechRequest, WeightFiles

SENTENCE = "The quick brown fox jumps over the lazy dog."
COUNT = 300
PUSHED = (0.8, 1.6)
"""Mixes are moved this far from the middle of their gender: beyond the styles too, so that the edge is known."""
ROW = 60
"""Colours differ little with the length of the text; this row stands for all."""
PROSODIES = {
    "f": ("ef_dora", "ff_siwis", "jf_alpha", "if_sara", "pf_dora", "af_heart"),
    "m": ("em_alex", "ff_siwis", "jm_kumo", "im_nicola", "pm_alex", "am_michael"),
}
PITCH_HZ, SPREAD = {"f": 200.0, "m": 120.0}, 0.22


def coordinates(folder: Path) -> np.ndarray:
    """Colours of all styles by principal components, each scaled to what it matters, ``[54, 24]``."""
    colours = np.stack([read_style(folder, style)[ROW, :COLOUR] for style in STYLES]).astype(np.float64)
    centred = colours - colours.mean(axis=0)
    left, size, _ = np.linalg.svd(centred, full_matrices=False)
    points = left[:, :COORDINATES] * size[:COORDINATES]
    return np.asarray(points / points.std(axis=0) * np.sqrt(size[:COORDINATES] / size[0]))


def trimmed(audio: np.ndarray, rate: int) -> np.ndarray:
    """Without silence at the ends, mono 16 kHz."""
    return resample(trim(audio, rate), rate, SPEECH_RATE)


def pitch_of(synthesizer: KokoroSynthesizer, text: str, language: str, style: str) -> float:
    """Median pitch of one style, Hz."""
    audio = synthesizer.synthesize(SpeechRequest(text, language, style))
    return median_f0(trimmed(audio, synthesizer.sample_rate)) or USUAL_HZ


def natural_pitch(synthesizer: KokoroSynthesizer) -> dict[str, float]:
    """``language:style`` → median pitch of the prosody that mixes in that language use, Hz."""
    out = {}
    for language in LANGUAGES:
        for gender in ("female", "male"):
            style = prosody_style(language, gender)
            out[f"{language}:{style}"] = pitch_of(synthesizer, PROBES[language], language, style)
    return out


def make(weights: WeightFiles, path: Path, count: int = COUNT) -> None:
    synthesizer, embedder = KokoroSynthesizer(EngineOptions(), weights), Resemblyzer(EngineOptions(), weights)
    rng = np.random.default_rng(0)
    vectors = {style: read_style(weights.path("kokoro-voices"), style) for style in STYLES}
    colours = np.stack([vectors[style][:, :COLOUR] for style in STYLES])
    natural: dict[str, float] = {}
    shares: list[np.ndarray] = []
    pitches: list[float] = []
    embeddings: list[np.ndarray] = []
    while len(shares) < count:
        gender = str(rng.choice(["f", "m"]))
        pool = [index for index, style in enumerate(STYLES) if style[1] == gender]
        parts = int(rng.integers(1, 5))
        # Some mixes cross the genders, so that the bank knows the way between them.
        row = np.zeros(len(STYLES))
        row[rng.choice(pool if rng.random() < 0.85 else len(STYLES), parts, replace=False)] = rng.dirichlet([1] * parts)
        push = rng.uniform(*PUSHED)
        row *= push
        row[pool] += (1 - push) / len(pool)
        prosody = str(rng.choice(PROSODIES[gender]))
        if prosody not in natural:
            natural[prosody] = pitch_of(synthesizer, SENTENCE, "en", prosody)
        factor = np.clip(np.exp(rng.normal(np.log(PITCH_HZ[gender]), SPREAD)) / natural[prosody], 0.5, 1.8)
        style = np.concatenate([np.tensordot(row, colours, 1), vectors[prosody][:, COLOUR:]], axis=1, dtype=np.float32)
        audio = trimmed(synthesizer.speak(SENTENCE, "en", style, float(factor)), synthesizer.sample_rate)
        shares.append(row)
        pitches.append(median_f0(audio) or USUAL_HZ)
        embeddings.append(embedder.embed(audio))
    write(weights, path, np.array(shares), np.array(pitches), np.array(embeddings), natural_pitch(synthesizer))


def write(
    weights: WeightFiles,
    path: Path,
    shares: np.ndarray,
    pitch_hz: np.ndarray,
    embeddings: np.ndarray,
    natural: dict[str, float],
) -> None:
    model = weights.path("kokoro-82m-int8") / "kokoro-v1.0.int8.onnx"
    np.savez_compressed(
        path,
        styles=coordinates(weights.path("kokoro-voices")).astype(np.float32),
        shares=shares.astype(np.float16),
        pitch_hz=pitch_hz.astype(np.float16),
        embeddings=embeddings.astype(np.float16),
        natural=np.array(list(natural)),
        natural_hz=np.array(list(natural.values()), np.float16),
        model_sha256=hashlib.sha256(model.read_bytes()).hexdigest(),
    )


if __name__ == "__main__":
    from shared.weights import WeightFolder

    make(WeightFolder(), Path(__file__).with_name("mixes.npz"))
