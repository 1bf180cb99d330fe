"""Losses beside those computed from their definitions: values and gradients, in float64 and float32."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import normalize

from trainer.objective.losses import infonce, sigmoid
from trainer.parity import rules
from trainer.parity.case import Case

VALUE, GRADIENT, SINGLE = 1e-10, 1e-12, 1e-5
NAMES = ("v_p", "a_p", "v_s", "a_s")
Loss = Callable[[Tensor, Tensor, Tensor | None], Tensor]


def loss(case: Case, stated: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> None:
    """Both losses for every pair and mask, and weighted sums of them."""
    count, size, seed = stated["N"], stated["D"], stated["seed"]
    shared = rules.generator("loss.shared", seed).standard_normal((count, size))
    own = {name: rules.generator(f"loss.{name}", seed).standard_normal((count, size)) for name in NAMES}
    raw = {name: torch.from_numpy(0.5 * shared + own[name]) for name in NAMES}
    masks = {name: mask(count, pairs) for name, pairs in stated["masks_removed_pairs_row_column"].items()}

    for key, expected in stated["infonce"].items():
        left, right, masked = key.split("|")
        log = torch.tensor(-np.log(stated["tau"]), requires_grad=True)

        def by_temperature(x: Tensor, y: Tensor, m: Tensor | None, log: Tensor = log) -> Tensor:
            return infonce(x, y, torch.exp(-log.to(x.dtype)), m)

        sides = Sides(raw[left], raw[right], masks[masked])
        compare(case, f"infonce.{key}", by_temperature, sides, expected["loss"], arrays)
        case.compare(f"infonce.{key}.d_log", log.grad, expected["d_loss_d_log_inverse_tau"], VALUE)
    for key, expected in stated["siglip_values"].items():
        left, right, masked = key.split("|")
        scale, bias = (torch.tensor(stated["siglip"][name], dtype=torch.float64, requires_grad=True) for name in "tb")

        def by_scale(x: Tensor, y: Tensor, m: Tensor | None, t: Tensor = scale, b: Tensor = bias) -> Tensor:
            return sigmoid(x, y, t.to(x.dtype), b.to(x.dtype), m)

        sides = Sides(raw[left], raw[right], masks[masked])
        compare(case, f"siglip.{key}", by_scale, sides, expected["loss"], arrays)
        derivatives = [scale.grad, bias.grad]
        case.compare(f"siglip.{key}.d_t_b", derivatives, [expected["d_loss_d_t"], expected["d_loss_d_b"]], VALUE)
    for name, expected in stated["combined"].items():
        leaf = {"v_p": raw["v_p"].clone().requires_grad_()}
        z = {**raw, **leaf}
        total = torch.zeros((), dtype=torch.float64)
        for term, weight in expected["weights"].items():
            left, right = term.split("|")
            total = total + weight * infonce(normalize(z[left]), normalize(z[right]), stated["tau"])
        (gradient,) = torch.autograd.grad(total, leaf["v_p"])
        case.compare(f"combined.{name}", total.item(), expected["loss"], VALUE)
        case.compare(f"combined.{name}.gradient", gradient, arrays[f"combined_grad_raw_v_p__{name}"], GRADIENT)


class Sides(NamedTuple):
    """What a loss compares."""

    left: Tensor
    right: Tensor
    masked: Tensor | None


def compare(
    case: Case, name: str, measure: Loss, sides: Sides, expected: float, arrays: Mapping[str, np.ndarray]
) -> None:
    """One loss's value in both precisions, and its gradients where the case has them (only of v_p, on the left)."""
    left, right, masked = sides
    single = measure(normalize(left.float()), normalize(right.float()), masked)
    case.compare(f"{name}.float32", single.item(), expected, SINGLE)
    raw = left.clone().requires_grad_()
    value = measure(normalize(raw), normalize(right), masked)
    torch.autograd.backward(value)
    case.compare(name, value.item(), expected, VALUE)
    kind, key = name.split(".", 1)
    key = key.replace("|", "__")
    if f"{kind}_grad_raw_{key}" in arrays:
        case.compare(f"{name}.gradient", raw.grad, arrays[f"{kind}_grad_raw_{key}"], GRADIENT)
    if f"{kind}_grad_unit_{key}" in arrays:
        unit = normalize(left).requires_grad_()
        (gradient,) = torch.autograd.grad(measure(unit, normalize(right), masked), unit)
        case.compare(f"{name}.gradient_unit", gradient, arrays[f"{kind}_grad_unit_{key}"], GRADIENT)


def mask(count: int, pairs: Iterable[tuple[int, int]]) -> Tensor | None:
    made = torch.zeros(count, count, dtype=torch.bool)
    for row, column in pairs:
        made[row, column] = True
    return made if made.any() else None
