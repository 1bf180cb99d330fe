"""Towers beside the public ones: names and shapes of weights, every block, the output."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, cast

import numpy as np
import torch
from torch import nn

from trainer.parity import rules
from trainer.parity.case import Case
from trainer.recipe import TowerSettings
from trainer.towers import build_tower

MVIT, CONVOLUTIONAL = 1e-5, 2e-5
Stated = Mapping[str, Any]
Arrays = Mapping[str, np.ndarray]


def mvit(case: Case, stated: Stated, arrays: Arrays) -> None:
    """An MViT tower: patches, tokens after every block, output."""
    config, seed = stated["config"], stated["seed"]
    video = config["modality"] == "video"
    patches = "overlap" if config["patch_overlap"] else "nonoverlap"
    settings = TowerSettings(kind="mvit", size=config["size"], patches=patches)
    tower = build_tower(settings, "video" if video else "audio")
    filled(case, tower, stated, rules.VIDEO if video else rules.AUDIO)
    made = rules.picture(seed) if video else rules.spectrogram(seed)
    case.compare("input", ends(made), ends(stated["input"]), 1e-6)
    blocks = list(tower.get_submodule("blocks").children())
    seen = {"patch_embedding": tower.get_submodule("patch_embed")}
    seen |= {f"after_block.{index}": block for index, block in enumerate(blocks)}
    tokens, output = watched(tower, tower, seen, made)
    expected = {"patch_embedding": stated["patch_embedding"]}
    expected |= {f"after_block.{index}": value for index, value in stated["after_block"].items()}
    case.count("blocks", len(expected.keys() ^ tokens.keys()))
    for name in expected.keys() & tokens.keys():
        summary(case, name, tokens[name], expected[name], MVIT)
    sampled = {"patch_tokens": "patch_embedding", "block0_tokens": "after_block.0"}
    sampled["last_block_tokens"] = f"after_block.{len(blocks) - 1}"
    for name, source in sampled.items():
        by_token, by_channel = stated["npz_sampling_step_token_channel"][name]
        ours = tokens[source][:, ::by_token, ::by_channel]
        case.compare(name, ours, arrays[name], scaled(MVIT, arrays[name]))
    case.compare("output", output, arrays["output"], MVIT)


def acoustic_resnet(case: Case, stated: Stated, arrays: Arrays) -> None:
    """An acoustic ResNet-50: stages, residual blocks, pooled output."""
    config = stated["config"]
    settings = TowerSettings(kind="acoustic_resnet50", stem=config["stem_width"])
    tower = build_tower(settings, "audio", channels=config["channels"])
    shape = (2, config["channels"], 12, 1, 6), (2, config["channels"], 288, 1, 96)
    made = rules.patchwork("input.acoustic", *shape, stated["seed"])
    output = convolutional(case, tower, stated, made)["output"]
    case.compare("output", output, arrays["pooled"], CONVOLUTIONAL)


def x3d(case: Case, stated: Stated, arrays: Arrays) -> None:
    """X3D-M: stages, residual blocks, pooled trunk, embedding."""
    tower = build_tower(TowerSettings(kind="x3d_m"), "video")
    made = rules.patchwork("input.x3d", (2, 3, 4, 2, 2), (2, 3, 16, 224, 224), stated["seed"])
    outputs = convolutional(case, tower, stated, made)
    trunk = outputs["stage4"].mean((2, 3, 4))
    case.compare("trunk", trunk, arrays["trunk_pooled_192"], CONVOLUTIONAL)
    case.compare("output", outputs["output"], arrays["embedding_1024"], CONVOLUTIONAL)


def convolutional(case: Case, tower: nn.Module, stated: Stated, made: np.ndarray) -> dict[str, np.ndarray]:
    filled(case, tower, stated, rules.PLAIN)
    case.compare("input", ends(made), ends(stated["input"]), 1e-5)
    stages = {"stem": "blocks.0"} | {f"stage{number}": f"blocks.{number}" for number in range(1, 5)}
    blocks = {
        f"stage{number}.block{index}": block
        for number in range(1, 5)
        for index, block in enumerate(tower.get_submodule(f"blocks.{number}.res_blocks").children())
    }
    seen = {name: tower.get_submodule(path) for name, path in stages.items()} | blocks
    encode = cast(Callable[[torch.Tensor], torch.Tensor], tower.encode)  # both kinds have one beside forward
    outputs, output = watched(tower, encode, seen, made)
    for name in stages:
        summary(case, name, outputs[name], stated["stages"][name], CONVOLUTIONAL)
    for name, (mean, spread) in stated["residual_blocks_mean_std"].items():
        ours = outputs[name].mean(dtype=np.float64), outputs[name].std(dtype=np.float64)
        case.compare(name, ours, (mean, spread), CONVOLUTIONAL)
    return {**outputs, "output": output}


def filled(case: Case, tower: nn.Module, stated: Stated, statistics: rules.Statistics) -> None:
    """Compare names, shapes and types of the weights, then give them their values by rule."""
    state = tower.state_dict()
    ours = {(key, tuple(value.shape), str(value.dtype).removeprefix("torch.")) for key, value in state.items()}
    theirs = {(entry["key"], tuple(entry["shape"]), entry["dtype"]) for entry in stated["state_dict"]}
    case.count("keys", len(ours ^ theirs))
    values = rules.weights(state, statistics, stated["seed"])
    firsts = {entry["key"]: entry["first"] for entry in stated["state_dict"]}
    common = sorted(firsts.keys() & values.keys())
    case.compare("weights", [values[k].flat[0] for k in common], [firsts[k] for k in common], 1e-4)
    if rules.checksum(values) != stated["weights_crc32"]:
        case.notes.append("weights differ in their last bits from those that the case was made with")
    tower.load_state_dict({key: torch.from_numpy(value) for key, value in values.items()})
    tower.eval()


def watched(
    tower: nn.Module, encode: Callable[[torch.Tensor], torch.Tensor], modules: Mapping[str, nn.Module], x: np.ndarray
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """The outputs of some modules (the first, of several) while ``tower`` encodes, and what it gives."""
    outputs: dict[str, np.ndarray] = {}

    def watch(name: str) -> Callable[[nn.Module, Any, Any], None]:
        def keep(module: nn.Module, given: Any, output: Any) -> None:
            outputs[name] = (output[0] if isinstance(output, tuple) else output).numpy()

        return keep

    hooks = [module.register_forward_hook(watch(name)) for name, module in modules.items()]
    try:
        with torch.inference_mode():
            output = encode(torch.from_numpy(x)).numpy()
    finally:
        for hook in hooks:
            hook.remove()
    return outputs, output


def summary(case: Case, name: str, ours: np.ndarray, stated: Stated, tolerance: float) -> None:
    """Shape, mean, spread, largest value, and the first and last values of a tensor."""
    measured = [ours.mean(dtype=np.float64), ours.std(dtype=np.float64), np.abs(ours).max()]
    expected = [stated["mean"], stated["std"], stated["absmax"], *stated["first8"], *stated["last8"]]
    if list(ours.shape) != stated["shape"]:
        case.count(f"{name}.shape", 1)
    first, last = (ours[0, 0], ours[-1, -1]) if ours.ndim == 3 else (ours[0].ravel(), ours[-1].ravel())
    case.compare(name, [*measured, *first[:8], *last[-8:]], expected, scaled(tolerance, stated["absmax"]))


def scaled(tolerance: float, values: Any) -> float:
    """Outputs are about 1; where values grow larger inside a tower, so does the rounding of float32."""
    return tolerance * max(1.0, float(np.abs(values).max()))


def ends(values: Any) -> list[float]:
    if isinstance(values, Mapping):
        return [*values["first8"], *values["last8"]]
    flat = values.ravel()
    return [*flat[:8], *flat[-8:]]
