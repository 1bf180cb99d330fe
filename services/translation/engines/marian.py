"""Marian models of the OPUS-MT family turned into CTranslate2 models, with numpy alone."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from shared.core.errors import EngineError
from shared.engines.checkpoints import read_checkpoint

START, UNKNOWN, PADDING = "</s>", "<unk>", "<pad>"


def convert(folder: Path, out: Path) -> None:
    """Write the model of ``folder`` (config.json, vocab.json, pytorch_model.bin) to ``out`` as CTranslate2 int8.

    Raises:
        EngineError: ``bad_weights`` when it is not a model of that family.
    """
    from ctranslate2.specs import common_spec, transformer_spec

    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    vocabulary = json.loads((folder / "vocab.json").read_text(encoding="utf-8"))
    tokens = sorted(vocabulary, key=lambda token: vocabulary[token])
    plain = not config["normalize_before"] and not config["normalize_embedding"] and config["scale_embedding"]
    if not plain or config["activation_function"] != "swish" or tokens[-1] != PADDING:
        raise EngineError(f"{folder.name} is not a Marian model of the kind OPUS-MT uses.", code="bad_weights")
    arrays = {
        name: np.asarray(array, dtype=np.float32)
        for name, array in read_checkpoint(folder / "pytorch_model.bin").items()
    }
    spec = transformer_spec.TransformerSpec.from_config(
        (config["encoder_layers"], config["decoder_layers"]),
        config["encoder_attention_heads"],
        pre_norm=False,
        activation=common_spec.Activation.SWISH,
    )
    # Padding has an embedding of its own, last in the table, and is never produced: CTranslate2 starts from zeros.
    embeddings = arrays["model.shared.weight"][:-1]
    fill_side(spec.encoder, spec.encoder.embeddings[0], "encoder", embeddings, arrays)
    fill_side(spec.decoder, spec.decoder.embeddings, "decoder", embeddings, arrays)
    spec.decoder.start_from_zero_embedding = True
    spec.decoder.projection.weight = embeddings
    spec.decoder.projection.bias = arrays["final_logits_bias"].reshape(-1)[:-1]
    spec.register_source_vocabulary(tokens[:-1])
    spec.register_target_vocabulary(tokens[:-1])
    spec.config.eos_token = START
    spec.config.unk_token = UNKNOWN
    spec.config.decoder_start_token = START
    spec.validate()
    spec.optimize(quantization="int8")
    spec.save(str(out))


def fill_side(side: Any, table: Any, name: str, embeddings: np.ndarray, arrays: Mapping[str, np.ndarray]) -> None:
    """Weights of the encoder or decoder; names of layers as in the published checkpoints."""
    table.weight = embeddings
    side.scale_embeddings = True
    side.position_encodings.encodings = arrays[f"model.{name}.embed_positions.weight"]
    for number, layer in enumerate(side.layer):
        prefix = f"model.{name}.layers.{number}"
        attention(layer.self_attention, f"{prefix}.self_attn", arrays, joined=3)
        normalisation(layer.self_attention.layer_norm, f"{prefix}.self_attn_layer_norm", arrays)
        if name == "decoder":
            attention(layer.attention, f"{prefix}.encoder_attn", arrays, joined=1)
            normalisation(layer.attention.layer_norm, f"{prefix}.encoder_attn_layer_norm", arrays)
        linear(layer.ffn.linear_0, f"{prefix}.fc1", arrays)
        linear(layer.ffn.linear_1, f"{prefix}.fc2", arrays)
        normalisation(layer.ffn.layer_norm, f"{prefix}.final_layer_norm", arrays)


def attention(spec: Any, prefix: str, arrays: Mapping[str, np.ndarray], joined: int) -> None:
    """``joined``: how many of query, key and value the first matrix holds: all where both come from one sequence."""
    from ctranslate2.converters import utils
    from ctranslate2.specs import common_spec

    parts = [common_spec.LinearSpec() for _ in range(3)]
    for part, name in zip(parts, ("q_proj", "k_proj", "v_proj"), strict=True):
        linear(part, f"{prefix}.{name}", arrays)
    utils.fuse_linear(spec.linear[0], parts[:joined])
    if joined < len(parts):
        utils.fuse_linear(spec.linear[1], parts[joined:])
    linear(spec.linear[-1], f"{prefix}.out_proj", arrays)


def linear(spec: Any, name: str, arrays: Mapping[str, np.ndarray]) -> None:
    spec.weight = arrays[f"{name}.weight"]
    spec.bias = arrays[f"{name}.bias"]


def normalisation(spec: Any, name: str, arrays: Mapping[str, np.ndarray]) -> None:
    spec.gamma = arrays[f"{name}.weight"]
    spec.beta = arrays[f"{name}.bias"]
