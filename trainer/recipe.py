"""A recipe: all that decides a training, in one TOML file.

``inherits = "name"`` starts from another recipe (or from several, laid over one another), overlaid key by key; ``--set
objective.lambda_a=1`` overlays last. Recipes are found by name in ``trainer/recipes`` or by the path of a ``.toml``
file. Defaults are the main models' of the paper (supplement, section A): 25 fps, 16 frames of 224 × 224 in 3 s, 48 kHz,
96 mels, AdamW.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError, model_validator

from shared.core.errors import UsageError
from shared.settings.models import Section, merge, parse_override

STREAMS = ("v_p", "a_p", "v_s", "a_s")
"""Primary and secondary picture and sound of one shot; ``v_p|a_s`` names a term between two of them."""


class VideoSettings(Section):
    fps: float = Field(25.0, description="Frame rate that pts are laid on.")
    seconds: float = Field(3.0, description="Length of a window.")
    frames: int = Field(16, ge=1, description="Taken uniformly from a window.")
    short_side: tuple[int, int] = Field((256, 320), description="Range that the short side is scaled to at random.")
    size: int = Field(224, description="Side of the random square crop, pixels.")


class AudioSettings(Section):
    sample_rate: int = 48_000
    seconds: float = Field(3.0, description="Length of a window; it begins where the picture's does.")
    channels: Literal[1, 2] = Field(1, description="2: one channel is doubled to pseudo-stereo.")
    n_fft: int = 1024
    hop: int = 501
    mels: int = 96
    time_mask: float = Field(0.5, ge=0, le=1, description="Largest share of the frames that is masked.")
    frequency_mask: float = Field(0.5, ge=0, le=1, description="Largest share of the mels that is masked.")


class DataSettings(Section):
    feed: str = Field("shards", description="Where batches come from: an entry point of counterdub.feed.")
    batch_size: int = Field(64, ge=2, description="Shots in one step of one process.")
    same_title: float = Field(0.125, ge=0, description="Of a batch from one title: a share below 1, else a number.")
    primary: str = Field("orig", description="Track of the primary sound: orig, control or background.")
    secondary: Literal["none", "same", "fixed", "uniform", "round-robin"] = Field(
        "uniform",
        description="Track of the secondary sound: none at all; the primary's again; the first of languages; one drawn "
        "from languages for each shot; one after the other of languages, batch by batch.",
    )
    languages: tuple[str, ...] = Field((), description="Tracks that the secondary may be; empty: every dub there is.")
    one_window: bool = Field(False, description="Both sounds and pictures from the same window of the shot.")
    held_out: float = Field(0.1, ge=0, lt=1, description="Share left out of the training to measure retrieval on.")
    held_out_by: Literal["title", "shot"] = "title"
    workers: int = Field(2, ge=0, description="Processes that decode; 0: the training's own.")
    prefetch: int = Field(2, ge=1, description="Batches ahead for each worker.")
    seed: int = 0


class TowerSettings(Section):
    kind: Literal["mvit", "x3d_m", "acoustic_resnet50", "tiny"] = "mvit"
    size: Literal["S", "B"] = Field("S", description="MViT: depth 16 or 24.")
    patches: Literal["overlap", "nonoverlap"] = Field("overlap", description="MViT: of the patch embedding.")
    stem: int = Field(32, description="Acoustic ResNet-50: width of its stem; 32 gives 1024-d, 64 gives 2048-d.")
    width: int = Field(32, description="Tiny towers: channels of the first convolution.")
    drop_path: float = Field(0.0, ge=0, lt=1)


class HeadSettings(Section):
    kind: Literal["mlp", "linear"] = "mlp"
    hidden: int = Field(0, description="Width of the MLP's hidden layer; 0: that of its input.")
    size: int = 512
    shared: bool = Field(True, description="One head for primary and secondary of a modality, or one each.")


class ModelSettings(Section):
    video: TowerSettings | None = Field(TowerSettings(), description="None: audio alone is trained.")
    audio: TowerSettings = TowerSettings()
    head: HeadSettings = HeadSettings()
    initial: str = Field("", description="Checkpoint whose weights the training starts from.")


class ObjectiveSettings(Section):
    loss: Literal["infonce", "sigmoid"] = "infonce"
    temperature: float = Field(0.07, gt=0, description="At the start, if it is learnt.")
    bias: float = Field(-10.0, description="Of the sigmoid loss at the start.")
    learn_temperature: bool = Field(False, description="And the sigmoid's bias.")
    terms: dict[str, float] = Field(
        {"v_p|a_p": 1.0, "v_s|a_s": 1.0, "v_p|a_s": 1.0, "v_s|a_p": 1.0},
        description="Weight of each cross-modal term.",
    )
    lambda_v: float = Field(0.0, ge=0, description="Weight of v_p|v_s.")
    lambda_a: float = Field(0.0, ge=0, description="Weight of a_p|a_s.")
    mask_same_shot: bool = Field(True, description="Dubs and windows of the same shot are no negatives.")
    gather: bool = Field(True, description="Negatives from all processes, with gradient.")
    chunk: int = Field(0, ge=0, description="GradCache: shots encoded at a time; 0: the whole batch at once.")

    @model_validator(mode="after")
    def known_terms(self) -> ObjectiveSettings:
        for name, weight in self.terms.items():
            left, _, right = name.partition("|")
            if left not in STREAMS or right not in STREAMS or left == right or weight < 0:
                raise ValueError(f"“{name} = {weight}” is no term: two of {', '.join(STREAMS)} and a weight from 0")
        return self


class OptimiserSettings(Section):
    rate: float = Field(3e-4, gt=0, description="Peak learning rate.")
    betas: tuple[float, float] = (0.9, 0.999)
    weight_decay: float = Field(5e-2, description="Not of biases, norms, class tokens, relative positions.")
    epochs: float = Field(12, gt=0)
    steps: int = Field(0, description="Stop after so many steps instead of epochs; 0: by epochs.")
    warmup_epochs: float = Field(2, ge=0)
    warmup_steps: int = Field(0, description="Instead of warmup_epochs, if steps is set.")
    final_rate: float = Field(0.0, description="Of the half-cosine, as a share of the peak.")
    clip: float = Field(1.0, description="Largest gradient norm; 0: no clipping.")
    ema: float = Field(0.0, ge=0, lt=1, description="Decay of the moving average of weights; 0: none is kept.")


class RunningSettings(Section):
    device: str = Field("auto", description="auto: cuda where there is one.")
    precision: Literal["fp32", "bf16"] = Field("bf16", description="Of the towers; norms and loss stay in fp32.")
    compile: bool = False
    threads: int = Field(0, description="Of torch on the CPU; 0: as many as cores.")
    log_every: int = Field(10, ge=1, description="Steps between two lines of metrics.")
    validate_every: int = Field(0, description="Steps between two measurements on held-out shots; 0: each epoch.")
    validate_shots: int = Field(2048, ge=2, description="Held-out shots, at most, that retrieval is measured on.")
    checkpoint_every: int = Field(500, ge=1, description="Steps.")
    keep: int = Field(3, ge=1, description="Checkpoints kept; older ones are removed.")
    seed: int = 0


class Recipe(Section):
    name: str = ""
    description: str = ""
    video: VideoSettings = VideoSettings()
    audio: AudioSettings = AudioSettings()
    data: DataSettings = DataSettings()
    model: ModelSettings = ModelSettings()
    objective: ObjectiveSettings = ObjectiveSettings()
    optimiser: OptimiserSettings = OptimiserSettings()
    running: RunningSettings = RunningSettings()

    @model_validator(mode="after")
    def consistent(self) -> Recipe:
        streams = self.streams()
        if not streams:
            raise ValueError("no term has a weight, so there is nothing to learn")
        if self.model.video is None and streams & {"v_p", "v_s"}:
            raise ValueError("terms name the picture, but model.video is absent")
        if self.data.secondary == "none" and "a_s" in streams:
            raise ValueError("terms name a_s, but data.secondary is none")
        return self

    def weights(self) -> dict[str, float]:
        """All terms with a weight above 0, λ_v and λ_a among them."""
        objective = self.objective
        every = {**objective.terms, "v_p|v_s": objective.lambda_v, "a_p|a_s": objective.lambda_a}
        return {name: weight for name, weight in every.items() if weight > 0}

    def streams(self) -> set[str]:
        """Which of :data:`STREAMS` the objective reads; only these are decoded and encoded."""
        return {stream for name in self.weights() for stream in name.split("|")}


def names() -> list[str]:
    """Recipes that come with the package; files that begin with ``_`` are only inherited from."""
    return [name for name in stored() if not name.startswith("_")]


def stored() -> list[str]:
    folder = resources.files("trainer") / "recipes"
    return sorted(file.name.removesuffix(".toml") for file in folder.iterdir() if file.name.endswith(".toml"))


def load_recipe(name: str, overrides: Sequence[str] = ()) -> Recipe:
    """A recipe by its name or the path of its file, with ``key=value`` overrides.

    Raises:
        UsageError: ``unknown_recipe``, ``bad_recipe`` (not TOML, or a circle) or ``bad_setting``, naming the key.
    """
    data = read_parents(name, ())
    for override in overrides:
        merge(data, parse_override(override))
    data["name"] = data.get("name") or Path(name).stem
    return recipe_from(data)


def recipe_from(data: dict[str, Any]) -> Recipe:
    """A recipe from nested tables, as :func:`load_recipe` or a checkpoint has them."""
    if data.get("model", {}).get("video") is False:  # TOML has no null
        data["model"]["video"] = None
    try:
        return Recipe.model_validate(data)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"]) or "recipe"
        raise UsageError(f"Recipe setting “{key}”: {first['msg']}.", code="bad_setting", key=key) from error


def to_toml(recipe: Recipe) -> str:
    """The whole recipe, every default spelt out; :func:`load_recipe` reads it back."""
    import tomli_w

    data = recipe.model_dump(mode="json")
    data["model"]["video"] = data["model"]["video"] or False
    return tomli_w.dumps(data)


def first_difference(one: Recipe, other: Recipe) -> str | None:
    """The first setting, as ``table.key``, in which two recipes would not give the same training; None: they would.

    Left out is what may change when a training goes on: names, and how it is run, but for precision and seed.
    """
    left, right = flat(one.model_dump(mode="json")), flat(other.model_dump(mode="json"))
    free = {"name", "description", "data.workers", "data.prefetch", "data.feed"}
    kept = {"running.precision", "running.seed"}
    for key in sorted(left | right):
        if key in free or (key.startswith("running.") and key not in kept):
            continue
        if left.get(key) != right.get(key):
            return key
    return None


def flat(table: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested tables as one, with dotted keys."""
    flattened: dict[str, Any] = {}
    for key, value in table.items():
        flattened |= flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value}
    return flattened


def read_parents(name: str, children: tuple[str, ...]) -> dict[str, Any]:
    # By what it leads to: over “../” or a link one file has any number of names.
    name = os.path.realpath(name) if name.endswith(".toml") else name
    if name in children:
        circle = " → ".join(Path(one).name for one in (*children[children.index(name) :], name))
        raise UsageError(f"Recipes inherit in a circle: {circle}.", code="bad_recipe")
    own = parsed(name)
    parents = own.pop("inherits", [])
    data: dict[str, Any] = {}
    for parent in [parents] if isinstance(parents, str) else parents:
        beside = parent.endswith(".toml") and name.endswith(".toml")
        overlay(data, read_parents(str(Path(name).parent / parent) if beside else parent, (*children, name)))
    data.pop("name", None)
    overlay(data, own)
    return data


def parsed(name: str) -> dict[str, Any]:
    file = Path(name)
    if file.suffix != ".toml":
        if name not in stored():
            known = ", ".join(names())
            raise UsageError(f"There is no recipe “{name}” (known: {known}).", code="unknown_recipe")
        text = (resources.files("trainer") / "recipes" / f"{name}.toml").read_text(encoding="utf-8")
    else:
        try:
            text = file.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
            raise UsageError(f"The recipe “{file.name}” cannot be read: {reason}.", code="unknown_recipe") from error
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"The recipe “{file.name}” is not valid TOML: {error}.", code="bad_recipe") from error


def overlay(base: dict[str, Any], own: dict[str, Any]) -> None:
    """Merge, but for terms: a recipe that lists its terms means these alone, not the parent's as well."""
    if "terms" in own.get("objective", {}):
        base.get("objective", {}).pop("terms", None)
    merge(base, own)
