"""Which trainings a miniature is made of."""

from __future__ import annotations

from importlib import resources
from typing import NamedTuple

from trainer.recipe import Recipe, load_recipe
from trainer.reproduce.scale import Scale, World

RECIPES = {
    "EN": "cinema-en",
    "ES": "cinema-es",
    "FR": "cinema-fr",
    "JA": "cinema-ja",
    "EFJ": "cinema-efj",
    "SEP": "cinema-sep",
    "AUD": "cinema-aud",
    "AUD+EFJ": "cinema-aud-efj",
    "EN2": "cinema-en2",
    "SEP, two views": "cinema-sep2",
}
"""The paper's eight, then the two controls; λ_a is 1 wherever there are two sounds."""
CROSS = ("objective.lambda_a=0",)
BASELINES = ("random tower", "mel statistics")
MAIN = "main"


class TrainingVariant(NamedTuple):
    """One training: its column, its table, recipe, settings of it, and the world it sees."""

    label: str
    group: str
    recipe: str
    overrides: tuple[str, ...]
    steps: int
    world: World

    def loaded(self) -> Recipe:
        """The recipe, seeded as the fold's world is."""
        path = resources.files("trainer.reproduce") / "recipes" / f"{self.recipe}.toml"
        every = [*self.overrides, f"optimiser.steps={self.steps}", f"optimiser.warmup_steps={self.steps // 20}"]
        every += [
            f"running.seed={self.world.seed}",
            f"data.seed={self.world.seed}",
            f"running.checkpoint_every={self.steps}",
        ]
        return load_recipe(str(path), every)


def trainings(scale: Scale) -> list[TrainingVariant]:
    """Every training of a scale, the main table's first.

    Equal budget means the same number of steps and of shots in each; it does not mean the same arithmetic: AUD has one
    term and no picture, SEP one view, the others two views and three terms.
    """
    chosen = RECIPES if scale.sweeps else {name: RECIPES[name] for name in ("EN", "EFJ", "AUD", "AUD+EFJ")}
    variants = []
    for fold in scale.folds:
        plain = World(fold, scale.seed + fold, separated=scale.sweeps)
        variants += [TrainingVariant(name, MAIN, recipe, (), scale.steps, plain) for name, recipe in chosen.items()]
        if not scale.sweeps:
            continue
        for name in ("EN", "EFJ"):
            variants.append(TrainingVariant(f"{name}, λ_a = 0", MAIN, RECIPES[name], CROSS, scale.steps, plain))
            for group, world in sweeps(plain).items():
                variants.append(TrainingVariant(name, group, RECIPES[name], (), scale.sweep_steps, world))
    return sorted(variants, key=lambda training: training.group != MAIN)


def sweeps(plain: World) -> dict[str, World]:
    """What may drive the result, one thing at a time, at half the steps; the first changes nothing but these."""
    return {
        "half the steps": plain,
        "half the steps, speech at 12 dB": plain._replace(speech_db=12.0, separated=False),
        "half the steps, no face": plain._replace(face=False, separated=False),
    }
