"""The embedded Whisper base, which is in CTranslate2's format, as a checkpoint of openai-whisper: the same weights."""

from __future__ import annotations

import re
import struct
from pathlib import Path

import numpy as np

DTYPES = {0: np.float32, 1: np.int8, 2: np.int16, 3: np.int32, 4: np.float16}


def read_ct2(path: Path) -> dict[str, np.ndarray]:
    """Variables of a CTranslate2 ``model.bin`` by name."""
    data, at = path.read_bytes(), 0

    def take(kind: str) -> int:
        nonlocal at
        (value,) = struct.unpack_from("<" + kind, data, at)
        at += struct.calcsize(kind)
        return value

    def text() -> str:
        nonlocal at
        size = take("H")
        at += size
        return data[at - size : at - 1].decode()

    take("I"), text(), take("I")  # version of the format, name of the specification, its revision
    found = {}
    for _ in range(take("I")):
        name = text()
        shape = [take("I") for _ in range(take("B"))]
        kind, size = DTYPES[take("B")], take("I")
        found[name] = np.frombuffer(data, kind, size // np.dtype(kind).itemsize, at).reshape(shape)
        at += size
    return found


def to_openai(source: Path, out: Path) -> Path:
    """Write the Whisper in ``source`` (CTranslate2 float16 ``model.bin``) as ``out`` for ``whisper.load_model``."""
    import torch

    given, state = read_ct2(source), {}

    def tensor(name: str) -> torch.Tensor:
        return torch.from_numpy(given[name].astype(np.float32))

    def norm(target: str, name: str) -> None:
        state[f"{target}.weight"], state[f"{target}.bias"] = tensor(f"{name}/gamma"), tensor(f"{name}/beta")

    def linear(target: str, name: str) -> None:
        state[f"{target}.weight"], state[f"{target}.bias"] = tensor(f"{name}/weight"), tensor(f"{name}/bias")

    def parts(target: str, names: tuple[str, ...], name: str) -> None:
        weights, biases = (tensor(f"{name}/{kind}").chunk(len(names)) for kind in ("weight", "bias"))
        for part, weight, bias in zip(names, weights, biases, strict=True):
            state[f"{target}.{part}.weight"] = weight.clone()
            if part != "key":  # Whisper's keys have no bias; CTranslate2 writes zeros
                state[f"{target}.{part}.bias"] = bias.clone()

    layers = {}
    for side in ("encoder", "decoder"):
        numbers = [int(hit.group(1)) for name in given if (hit := re.match(rf"{side}/layer_(\d+)/", name))]
        layers[side] = 1 + max(numbers)
        state[f"{side}.positional_embedding"] = tensor(f"{side}/position_encodings/encodings")
        norm("encoder.ln_post" if side == "encoder" else "decoder.ln", f"{side}/layer_norm")
        for number in range(layers[side]):
            block, layer = f"{side}.blocks.{number}", f"{side}/layer_{number}"
            norm(f"{block}.attn_ln", f"{layer}/self_attention/layer_norm")
            parts(f"{block}.attn", ("query", "key", "value"), f"{layer}/self_attention/linear_0")
            linear(f"{block}.attn.out", f"{layer}/self_attention/linear_1")
            if side == "decoder":
                norm(f"{block}.cross_attn_ln", f"{layer}/attention/layer_norm")
                linear(f"{block}.cross_attn.query", f"{layer}/attention/linear_0")
                parts(f"{block}.cross_attn", ("key", "value"), f"{layer}/attention/linear_1")
                linear(f"{block}.cross_attn.out", f"{layer}/attention/linear_2")
            norm(f"{block}.mlp_ln", f"{layer}/ffn/layer_norm")
            linear(f"{block}.mlp.0", f"{layer}/ffn/linear_0")
            linear(f"{block}.mlp.2", f"{layer}/ffn/linear_1")
    for name in ("conv1", "conv2"):
        linear(f"encoder.{name}", f"encoder/{name}")
    state["decoder.token_embedding.weight"] = tensor("decoder/embeddings/weight")
    size, bands, _ = state["encoder.conv1.weight"].shape
    vocabulary, width = state["decoder.token_embedding.weight"].shape
    dims = {
        "n_mels": bands,
        "n_audio_ctx": state["encoder.positional_embedding"].shape[0],
        "n_audio_state": size,
        "n_audio_head": int(given["encoder/num_heads"]),
        "n_audio_layer": layers["encoder"],
        "n_vocab": vocabulary,
        "n_text_ctx": state["decoder.positional_embedding"].shape[0],
        "n_text_state": width,
        "n_text_head": int(given["decoder/num_heads"]),
        "n_text_layer": layers["decoder"],
    }
    torch.save({"dims": dims, "model_state_dict": {name: value.half() for name, value in state.items()}}, out)
    return out
