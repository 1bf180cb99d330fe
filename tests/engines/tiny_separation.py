"""Demucs checkpoints in the released formats, small enough to be made by a test."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

SOURCES = ["drums", "bass", "other", "vocals"]


def networks() -> dict[str, Any]:
    """One network of each of Demucs' three architectures, random weights, by a signature of eight digits."""
    import torch
    from demucs.demucs import Demucs
    from demucs.hdemucs import HDemucs
    from demucs.htdemucs import HTDemucs

    torch.manual_seed(0)
    hybrid = {"sources": SOURCES, "channels": 16, "nfft": 2048, "depth": 4, "segment": 2, "samplerate": 44_100}
    return {
        "aaaa0001": HTDemucs(**hybrid, t_layers=1, t_heads=2, bottom_channels=0),
        "aaaa0002": HTDemucs(**hybrid, t_layers=0, bottom_channels=0),
        "bbbb0001": HDemucs(SOURCES, channels=4, segment=3, samplerate=44_100),
        "cccc0001": Demucs(SOURCES, channels=4, depth=3, segment=3, samplerate=44_100, resample=False, lstm_layers=0),
    }


def save(network: Any, signature: str, folder: Path) -> Path:
    """As demucs releases it: ``SIGNATURE-HASH.th`` in half precision."""
    import torch
    from demucs import states

    args, kwargs = network._init_args_kwargs
    package = {
        "klass": type(network),
        "args": args,
        "kwargs": kwargs,
        "state": states.get_state(network, None, half=True),
        "training_args": {},
    }
    plain = folder / f"{signature}.th"
    torch.save(package, plain)
    return plain.rename(folder / f"{signature}-{hashlib.sha256(plain.read_bytes()).hexdigest()[:8]}.th")


def save_safe(network: Any, signature: str, folder: Path) -> Path:
    """As demucs' hub holds it: ``SIGNATURE.safetensors`` with the class and its arguments in the metadata."""
    from safetensors.torch import save_file

    args, kwargs = network._init_args_kwargs
    kind = type(network)
    path = folder / f"{signature}.safetensors"
    state = {name: value.contiguous().clone() for name, value in network.state_dict().items()}
    metadata = {"klass": f"{kind.__module__}.{kind.__name__}", "args": json.dumps(args), "kwargs": json.dumps(kwargs)}
    save_file(state, path, metadata)
    return path


def bag(folder: Path, name: str, text: str) -> Path:
    path = folder / f"{name}.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def checkpoints(folder: Path) -> dict[str, Path]:
    """A folder each for what the four released models look like: name → folder."""
    made = networks()
    bags = {
        "htdemucs": (["aaaa0001"], ""),
        "htdemucs_ft": (["aaaa0001", "aaaa0002"], "weights: [[1., 1., 1., 0.], [0., 0., 0., 1.]]\n"),
        "mdx_extra": (["bbbb0001", "cccc0001"], "segment: 3\n"),
    }
    places = {}
    for name, (signatures, rest) in bags.items():
        places[name] = folder / name
        places[name].mkdir()
        for signature in signatures:
            save(made[signature], signature, places[name])
        bag(places[name], name, f"models: {signatures}\n{rest}")
    return places
