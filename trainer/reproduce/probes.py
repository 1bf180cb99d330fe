"""What an encoder's embeddings say about sounds, speech and pictures that no training met."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from trainer.encoder import Made
from trainer.evaluation.invariance.measures import agreement, tell_apart
from trainer.reproduce.cinema.sounds import TEST_TAKES
from trainer.reproduce.scale import MEL_FRAMES, Scale

WINDOW = 76
"""Mel frames of 3 s."""
PICTURES = 8
AT_ONCE = 64

METRICS = {
    "scene": "class of the background of an unseen shot, English track (10 classes)",
    "scene_talk": "that class and whether somebody speaks (20 classes)",
    "clean": "class of an unseen recording of ESC-10 (10 classes)",
    "count": "one to four voices at once (4 classes)",
    "digit": "spoken digit, takes that no probe saw (10 classes)",
    "digit_speaker": "who says the digit (6 classes)",
    "language": "language of unseen voices and words (4 classes)",
    "video": "class of the background, by the picture alone (10 classes)",
    "audiovisual": "the same by picture and sound",
    "own_dub": "how often a shot's nearest track in another language is its own",
}
"""Every measure, and what it asks. All are shares of items that are right."""
TRANSFER = ("clean", "count", "digit", "digit_speaker", "language")
"""Tasks that training did not come near; the others are asked in the world that it was trained in."""
SHORTCUTS = {"redub": "en2", "es": "es"}
"""Area under the curve of telling the original from a track: 0.5 if the embedding does not show which is the dub."""


class ListeningProbe(NamedTuple):
    """An encoder on mels and pictures.

    Attributes:
        audio: float ``[B, 64, 76]`` in dB → ``[B, D]``.
        video: uint8 ``[B, 8, 32, 32, 3]`` → ``[B, E]``; None without a video tower.
    """

    audio: Callable[[np.ndarray], np.ndarray]
    video: Callable[[np.ndarray], np.ndarray] | None


class Found(NamedTuple):
    """Which items of one measure are right, ``[N]``, and the recording, title or voice that each is of."""

    right: np.ndarray
    sources: list[str]


def hearing_of(made: Made) -> ListeningProbe:
    """The towers of a checkpoint."""
    audio, video = made.audio, made.video
    assert audio is not None

    def hear(mel: np.ndarray) -> np.ndarray:
        return np.asarray(audio(torch.from_numpy(mel.astype(np.float32))[:, None]).numpy())

    def see(frames: np.ndarray) -> np.ndarray:
        assert video is not None
        clip = torch.from_numpy(frames).permute(0, 4, 1, 2, 3).float() / 255
        return np.asarray(video(clip).numpy())

    return ListeningProbe(hear, see if video is not None else None)


def mel_statistics(mel: np.ndarray) -> np.ndarray:
    """Mean and deviation of each band: no training at all."""
    whole = mel.astype(np.float32)
    return np.concatenate([whole.mean(-1), whole.std(-1)], axis=1)


STATISTICS = ListeningProbe(mel_statistics, None)


@torch.inference_mode()
def embedded(
    encode: Callable[[np.ndarray], np.ndarray], clips: np.ndarray, windows: list[slice], axis: int
) -> np.ndarray:
    """Mean over windows along ``axis`` of each clip's embeddings, ``[N, D]``."""
    parts = []
    for first in range(0, len(clips), AT_ONCE):
        some = np.asarray(clips[first : first + AT_ONCE])
        cut = [some[(slice(None),) * axis + (window,)] for window in windows]
        parts.append(np.mean([encode(np.ascontiguousarray(one)) for one in cut], axis=0))
    return np.concatenate(parts)


def heard(hearing: ListeningProbe, mels: np.ndarray) -> np.ndarray:
    """Of mels of 3 s, or of two windows of mels of 5 s; ``[N, 64, frames]`` → ``[N, D]``."""
    first = {0, max(0, min(mels.shape[-1], MEL_FRAMES) - WINDOW)}
    return embedded(hearing.audio, mels, [slice(start, start + WINDOW) for start in sorted(first)], 2)


def seen(encode: Callable[[np.ndarray], np.ndarray], frames: np.ndarray) -> np.ndarray:
    last = frames.shape[1] - PICTURES
    return embedded(encode, frames, [slice(0, PICTURES), slice(last, last + PICTURES)], 1)


def classified(train: np.ndarray, labels: np.ndarray, test: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Which test items a ridge classifier on standardised embeddings gets right; its strength by leave-one-out."""
    from sklearn.linear_model import RidgeClassifierCV
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    model = make_pipeline(StandardScaler(), RidgeClassifierCV(np.logspace(-2, 4, 13))).fit(train, labels)
    return np.asarray(model.predict(test) == truth)


def measure(hearing: ListeningProbe, world: Path, material: Path) -> tuple[dict[str, Found], dict[str, float]]:
    """All of :data:`METRICS` that the encoder has towers for, and its shortcuts.

    Args:
        hearing: The encoder.
        world: Folder of :func:`trainer.reproduce.cinema.world.make_world`.
        material: File of clean sounds and digits.
    """
    fold = json.loads((world / "world.json").read_text(encoding="utf-8"))["fold"]
    with np.load(world / "probe.npz") as probe, np.load(world / "test.npz") as test:
        trained, tested = dict(probe), dict(test)
    tracks = json.loads((world / "world.json").read_text(encoding="utf-8"))["tracks"]["test"]
    known = heard(hearing, np.load(world / "probe.npy", mmap_mode="r")[:, 0])
    every = np.load(world / "test.npy", mmap_mode="r")
    by_track = {track: heard(hearing, every[:, at]) for at, track in enumerate(tracks)}
    own = by_track["orig"]
    sources = [f"{fold}:{source}" for source in tested["source"]]
    measured = {"scene": Found(classified(known, trained["label"], own, tested["label"]), sources)}
    both = [one["label"] * 2 + one["talk"] for one in (trained, tested)]
    measured["scene_talk"] = Found(classified(known, both[0], own, both[1]), sources)
    measured |= of_material(hearing, material, fold) | of_items(hearing, world, fold)
    if hearing.video is not None:
        looked = [
            seen(hearing.video, np.load(world / f"{part}-frames.npy", mmap_mode="r")) for part in ("probe", "test")
        ]
        measured["video"] = Found(classified(looked[0], trained["label"], looked[1], tested["label"]), sources)
        joined = [np.concatenate(pair, axis=1) for pair in ((known, looked[0]), (own, looked[1]))]
        measured["audiovisual"] = Found(classified(joined[0], trained["label"], joined[1], tested["label"]), sources)
    # Of the shots in which somebody speaks: the tracks of the others are one sound.
    talk = tested["talk"]
    ranks = [agreement(own[talk], by_track[track][talk]).rank for track in ("es", "fr", "ja")]
    titles = np.tile(tested["title"][talk], len(ranks))
    measured["own_dub"] = Found(np.concatenate(ranks) < 1, [f"{fold}:title {title}" for title in titles])
    aucs = {name: tell_apart(own[talk], by_track[track][talk]).auc for name, track in SHORTCUTS.items()}
    return measured, {name: auc for name, auc in aucs.items() if auc is not None}


def of_material(hearing: ListeningProbe, material: Path, fold: int) -> dict[str, Found]:
    with np.load(material) as kept:
        clean, digits = heard(hearing, kept["clean"]), heard(hearing, kept["digits"])
        of, label, source = (kept[name] for name in ("clean_fold", "clean_label", "clean_source"))
        digit, speaker, take = (kept[name] for name in ("digit", "speaker", "take"))
    held, late = of == fold, take >= TEST_TAKES
    spoken = [f"{fold}:{one} {number}" for one, number in zip(speaker[~late], take[~late], strict=True)]
    return {
        "clean": Found(
            classified(clean[~held], label[~held], clean[held], label[held]), [f"{fold}:{one}" for one in source[held]]
        ),
        "digit": Found(classified(digits[late], digit[late], digits[~late], digit[~late]), spoken),
        "digit_speaker": Found(classified(digits[late], speaker[late], digits[~late], speaker[~late]), spoken),
    }


def of_items(hearing: ListeningProbe, world: Path, fold: int) -> dict[str, Found]:
    measured = {}
    with np.load(world / "items.npz") as kept:
        for name in ("count", "language"):
            embeddings = [heard(hearing, kept[f"{part}_{name}_mel"]) for part in ("probe", "test")]
            right = classified(embeddings[0], kept[f"probe_{name}"], embeddings[1], kept[f"test_{name}"])
            of = kept["test_language_voice"] if name == "language" else np.arange(len(right))
            measured[name] = Found(right, [f"{fold}:{name} {one}" for one in of])
    return measured


def chance(metric: str, scale: Scale) -> float:
    """Share that a blind guess gets, all classes alike."""
    shots = scale.test_titles * scale.shots * 0.7
    known = {"scene_talk": 1 / 20, "count": 1 / 4, "digit_speaker": 1 / 6, "language": 1 / 4, "own_dub": 1 / shots}
    return known.get(metric, 1 / 10)
