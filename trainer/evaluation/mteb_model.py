"""An MTEB model over any checkpoint, for its audio (MAEB) and video (MVEB) tasks.

``mteb.evaluate(load("checkpoint.pt"), tasks=mteb.get_tasks(modalities=["audio"]))``. There is no text tower: tasks with
text are not for it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import soxr
import torch
from mteb.models.model_meta import ModelMeta
from mteb.similarity_functions import cos_sim, pairwise_cos_sim

from trainer.encoder import Encoder
from trainer.evaluation.baselines import encoder_of
from trainer.evaluation.embedding import scenes
from trainer.frontend.windows import uniform

Batch = dict[str, list[Any]]


class CounterdubModel:
    """Embeds ``audio`` and ``video`` columns; where a row has both they are joined, each of length 1.

    Retrieval, where one modality asks and another answers, and zero-shot tasks take the projections that training
    compared; all others the towers' own embeddings.

    Args:
        model_name: A checkpoint, the folder of a run, ``random:<recipe>`` or ``mel-statistics``.
        revision: Not used: the checkpoint's hash is its revision.
        device: Where it runs.
    """

    def __init__(self, model_name: str, revision: str | None = None, device: str | None = None, **kwargs: Any) -> None:
        self.encoder = encoder_of(model_name, device=device or ("cuda" if torch.cuda.is_available() else "cpu"))
        recipe = getattr(self.encoder, "recipe", None)
        name = recipe.name if recipe is not None and recipe.name else "mel-statistics"
        sees = isinstance(self.encoder, Encoder) and self.encoder.video_size > 0
        self.mteb_model_meta = ModelMeta.create_empty(
            {
                "name": f"counterdub/{name}",
                "revision": self.encoder.id[:40],
                "modalities": ["audio", "video"] if sees else ["audio"],
                "embed_dim": self.encoder.audio_size,
                "similarity_fn_name": "cosine",
                "framework": ["PyTorch"],
            }
        )

    def encode(self, inputs: Any, *, task_metadata: Any, **kwargs: Any) -> np.ndarray:
        """Embeddings of a data loader's rows, float32 ``[rows, D]``.

        Raises:
            ValueError: the rows have neither sound nor picture.
        """
        names = [name for name in ("audio", "video") if name in inputs.dataset.features]
        if not names:
            raise ValueError("Counterdub embeds audio and video; these rows have neither.")
        kind = str(task_metadata.type)
        heads = "retrieval" in kind.lower() or "zeroshot" in kind.lower()
        inputs.collate_fn = lambda rows: {name: [row[name] for row in rows] for name in names}
        embed: dict[str, Callable[[list[Any], bool], np.ndarray]] = {"audio": self.sounds, "video": self.pictures}
        parts = {name: np.concatenate([embed[name](batch[name], heads) for batch in inputs]) for name in names}
        if len(parts) == 1:
            return parts[names[0]]
        return np.concatenate([part / np.linalg.norm(part, axis=1, keepdims=True) for part in parts.values()], axis=1)

    def similarity(self, embeddings1: Any, embeddings2: Any) -> Any:
        """Cosines of all pairs, ``[N, M]``."""
        return cos_sim(embeddings1, embeddings2)

    def similarity_pairwise(self, embeddings1: Any, embeddings2: Any) -> Any:
        """Cosines row by row, ``[N]``."""
        return pairwise_cos_sim(embeddings1, embeddings2)

    def sounds(self, items: list[Any], heads: bool) -> np.ndarray:
        """Items have ``array`` (``[samples]``, or channels first) and ``sampling_rate``."""
        waves = []
        for item in items:
            wave = np.asarray(item["array"], dtype=np.float32)
            wave = wave.mean(axis=0) if wave.ndim > 1 else wave
            rate = int(item["sampling_rate"])
            waves.append(
                soxr.resample(wave, rate, self.encoder.sample_rate) if rate != self.encoder.sample_rate else wave
            )
        if heads and isinstance(self.encoder, Encoder) and self.encoder.head_size:
            return scenes(Projected(self.encoder), waves)
        return scenes(self.encoder, waves)

    def pictures(self, items: list[Any], heads: bool) -> np.ndarray:
        """Embed clips: decoders of torchcodec, or uint8 ``[T, 3, H, W]``.

        Frames are spread over the clip, cropped in the middle.
        """
        if not isinstance(self.encoder, Encoder):
            raise ValueError("Mel statistics have no tower for pictures.")
        video = self.encoder.recipe.video
        clips = [squares(item, video.frames, video.size) for item in items]
        return self.encoder.video(np.stack(clips), heads=heads and self.encoder.head_size > 0)


class Projected:
    """An encoder whose sound is projected into the common space."""

    def __init__(self, encoder: Encoder) -> None:
        self.encoder, self.id = encoder, encoder.id
        self.sample_rate, self.seconds, self.audio_size = encoder.sample_rate, encoder.seconds, encoder.head_size

    def audio(self, waves: np.ndarray) -> np.ndarray:
        return self.encoder.audio(waves, heads=True)


def squares(item: Any, frames: int, size: int) -> np.ndarray:
    """uint8 ``[frames, size, size, 3]`` of a clip, the short side scaled to ``size``."""
    count = len(item)
    indices = uniform(count, frames).tolist()
    taken = item.get_frames_at(indices).data if hasattr(item, "get_frames_at") else torch.as_tensor(item)[indices]
    height, width = taken.shape[2:]
    scale = size / min(height, width)
    wanted = (max(size, round(height * scale)), max(size, round(width * scale)))
    small = torch.nn.functional.interpolate(taken.float(), wanted, mode="bilinear", align_corners=False)
    top, left = (wanted[0] - size) // 2, (wanted[1] - size) // 2
    square = small[:, :, top : top + size, left : left + size].round().clamp(0, 255).to(torch.uint8)
    return square.permute(0, 2, 3, 1).numpy()


def load(checkpoint: str, device: str | None = None) -> CounterdubModel:
    """A model for ``mteb.evaluate``."""
    return CounterdubModel(checkpoint, device=device)
