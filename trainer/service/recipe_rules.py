"""Which settings of a recipe a caller of the service may say, and between which bounds."""

from __future__ import annotations

from shared.settings.rules import ChoiceRule, Name, Names, Number, Numbers, Rule, Switch, Text

OPERATOR = Name("operator")
WEIGHT = Number(low=0, high=1000)
SHARE = Number(low=0, high=1)
STEPS = Number(low=0, high=10_000_000)
SEED = Number(low=0, high=2**63 - 1)


def tower(name: str) -> dict[str, Rule]:
    return {
        f"model.{name}.kind": ChoiceRule(),
        f"model.{name}.size": ChoiceRule(),
        f"model.{name}.patches": ChoiceRule(),
        f"model.{name}.stem": Number(low=1, high=256),
        f"model.{name}.width": Number(low=1, high=512),
        f"model.{name}.drop_path": SHARE,
    }


RULES: dict[str, Rule] = {
    "name": Text("operator"),
    "description": Text("operator"),
    "video.fps": Number(low=1, high=120),
    "video.seconds": Number(low=0.1, high=60),
    "video.frames": Number(low=1, high=256),
    "video.short_side": Numbers(low=16, high=1024),
    "video.size": Number(low=16, high=512),
    "audio.sample_rate": Number(low=8000, high=96_000),
    "audio.seconds": Number(low=0.1, high=60),
    "audio.channels": ChoiceRule(),
    "audio.n_fft": Number(low=64, high=16_384),
    "audio.hop": Number(low=16, high=16_384),
    "audio.mels": Number(low=8, high=512),
    "audio.time_mask": SHARE,
    "audio.frequency_mask": SHARE,
    "data.feed": OPERATOR,
    "data.batch_size": Number(low=2, high=4096),
    "data.same_title": Number(low=0, high=4096),
    "data.primary": Text(),
    "data.secondary": ChoiceRule(),
    "data.languages": Names(value=Text()),
    "data.one_window": Switch(),
    "data.held_out": SHARE,
    "data.held_out_by": ChoiceRule(),
    "data.workers": Number("operator", low=0, high=256),
    "data.prefetch": Number("operator", low=1, high=256),
    "data.seed": SEED,
    "model.video": Switch(),
    **tower("video"),
    **tower("audio"),
    "model.head.kind": ChoiceRule(),
    "model.head.hidden": Number(low=0, high=16_384),
    "model.head.size": Number(low=1, high=8192),
    "model.head.shared": Switch(),
    "model.initial": Text("operator"),
    "objective.loss": ChoiceRule(),
    "objective.temperature": Number(low=1e-4, high=100),
    "objective.bias": Number(low=-1000, high=1000),
    "objective.learn_temperature": Switch(),
    "objective.terms": Numbers(low=0, high=1000),
    "objective.lambda_v": WEIGHT,
    "objective.lambda_a": WEIGHT,
    "objective.mask_same_shot": Switch(),
    "objective.gather": Switch(),
    "objective.chunk": Number(low=0, high=4096),
    "optimiser.rate": Number(low=1e-9, high=10),
    "optimiser.betas": Numbers(low=0, high=1),
    "optimiser.weight_decay": Number(low=0, high=100),
    "optimiser.epochs": Number(low=0.001, high=100_000),
    "optimiser.steps": STEPS,
    "optimiser.warmup_epochs": Number(low=0, high=100_000),
    "optimiser.warmup_steps": STEPS,
    "optimiser.final_rate": SHARE,
    "optimiser.clip": Number(low=0, high=1e6),
    "optimiser.ema": SHARE,
    "running.device": OPERATOR,
    "running.precision": ChoiceRule(),
    "running.compile": Switch("operator"),
    "running.threads": Number("operator", low=0, high=1024),
    "running.log_every": Number(low=1, high=1_000_000),
    "running.validate_every": STEPS,
    "running.validate_shots": Number(low=2, high=100_000),
    "running.checkpoint_every": Number(low=1, high=1_000_000),
    "running.keep": Number(low=1, high=100),
    "running.seed": SEED,
}
"""A field that is not here is refused to callers."""
