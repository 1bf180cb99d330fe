"""Where openai-whisper finds its weights: released files by name, a file of the operator, or a download."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

from shared.core.errors import EngineError
from shared.engines.accelerator import out_of_memory, too_large
from shared.engines.protocols import EngineOptions
from shared.weights.given import digest, is_place, place
from shared.weights.local import may_download
from shared.weights.released import ReleasedModels

RELEASED: ReleasedModels[tuple[str, str]] = ReleasedModels(
    "openai-whisper",
    "openai-whisper",
    {
        "tiny.en": ("tiny.en.pt", "d3dd57d32accea0b295c96e26691aa14d8822fac7d9d27d5dc00b4ca2826dd03"),
        "tiny": ("tiny.pt", "65147644a518d12f04e32d6f3b26facc3f8dd46e5390956a9424a650c0ce22b9"),
        "base.en": ("base.en.pt", "25a8566e1d0c1e2231d1c762132cd20e0f96a85d16145c3a00adf5d1ac670ead"),
        "base": ("base.pt", "ed3a0b6b1c0edf879ad9b11b1af5a0e6ab5db9205f891f668f8b0e6c6326e34e"),
        "small.en": ("small.en.pt", "f953ad0fd29cacd07d5a9eda5624af0f6bcf2258be67c92b79389873d91e0872"),
        "small": ("small.pt", "9ecf779972d90ba49c06d968637d720dd632c55bbf19d441fb42bf17a411e794"),
        "medium.en": ("medium.en.pt", "d7440d1dc186f76616474e0ff0b3b6b879abc9d1a4926b7adfa41db2d497ab4f"),
        "medium": ("medium.pt", "345ae4da62f9b3d59415adc60127b97c714f32e89e936602e85993674d08dcb1"),
        "large-v1": ("large-v1.pt", "e4b87e7e0bf463eb8e6956e646f1e277e901512310def2c24bf0e11bd3c28e9a"),
        "large-v2": ("large-v2.pt", "81f7c96c852ee8fc832187b0132e569d6c3065a3252ed18e56effd0b6a73e524"),
        "large-v3": ("large-v3.pt", "e5b1a55b89c1367dacf97e3e19bfd829a01529dbfdeefa8caeb59b3f1b81dadb"),
        "large": ("large-v3.pt", "e5b1a55b89c1367dacf97e3e19bfd829a01529dbfdeefa8caeb59b3f1b81dadb"),
        "large-v3-turbo": ("large-v3-turbo.pt", "aff26ae408abcba5fbf8813c21e62b0941638c5f6eebfb145be0c9839262a19a"),
        "turbo": ("large-v3-turbo.pt", "aff26ae408abcba5fbf8813c21e62b0941638c5f6eebfb145be0c9839262a19a"),
    },
    "the path of a .pt file",
)
"""File and sha256 of every model, as openai-whisper 20250625 lists them."""
DEFAULT = "large-v3"

SIZES = {
    (4, 4, 80): "tiny",
    (6, 6, 80): "base",
    (12, 12, 80): "small",
    (24, 24, 80): "medium",
    (32, 32, 80): "large-v2",
    (32, 32, 128): "large-v3",
    (32, 4, 128): "large-v3-turbo",
}
"""Layers of the encoder, of the decoder, and mel bands → the release a given checkpoint descends from."""


def digests(options: EngineOptions) -> dict[str, str]:
    """What names the weights: the released sha256, or that of the given file."""
    model = options.model or DEFAULT
    if is_place(model):
        return {"given": digest(checkpoint(place(model)))}
    file, sha256 = RELEASED.find(model)
    return {file: sha256}


def checkpoint(path: Path) -> Path:
    """The file itself, or the only ``.pt`` file of a folder.

    Raises:
        EngineError: ``weights_missing``.
    """
    if path.is_file():
        return path
    checkpoints = sorted(path.glob("*.pt"))
    if len(checkpoints) != 1:
        raise EngineError(f"“{path.name}” must hold one .pt file of openai-whisper.", code="weights_missing")
    return checkpoints[0]


def absent(options: EngineOptions) -> tuple[str, ...]:
    """The file that is neither here nor may be fetched, in words."""
    model = options.model or DEFAULT
    if may_download(options) and not is_place(model):
        return ()
    return RELEASED.absent(model, () if is_place(model) else RELEASED.find(model)[:1])


def load(options: EngineOptions, device: Any) -> Any:
    """The model that the options name, with the attention heads that show when a word is said.

    Raises:
        EngineError: ``unknown_model``, ``weights_missing``, ``weights_damaged``, ``engine_failed``.
    """
    import whisper

    model = options.model or DEFAULT
    if is_place(model):
        path = checkpoint(place(model))
    else:
        file, sha256 = RELEASED.find(model)
        path = RELEASED.folder() / file
        if path.is_file() and digest(path) != sha256:
            raise EngineError(f"The weights of Whisper {model} are damaged ({file}).", code="weights_damaged")
        if not path.is_file():
            if not may_download(options):
                raise RELEASED.missing(model, [file])
            whisper._download(whisper._MODELS[model], str(path.parent), False)
    try:
        network = whisper.load_model(str(path), device=device)
    except (pickle.UnpicklingError, RuntimeError, TypeError, KeyError, ValueError, OSError) as error:
        if out_of_memory(error):
            raise too_large() from error
        text = str(error).partition("\n")[0][:200]
        raise EngineError(f"The Whisper model cannot be loaded: {text}", code="engine_failed") from error
    heads = whisper._ALIGNMENT_HEADS.get(family(network, model))
    if heads is not None:
        network.set_alignment_heads(heads)
    return network


def family(network: Any, model: str) -> str:
    """The release whose attention heads fit: by name, and for given files by size; empty when none does."""
    if model in RELEASED.files:
        return model
    dims = network.dims
    name = SIZES.get((dims.n_audio_layer, dims.n_text_layer, dims.n_mels), "")
    has_english = name in ("tiny", "base", "small", "medium")
    return name if network.is_multilingual or not has_english else f"{name}.en"
