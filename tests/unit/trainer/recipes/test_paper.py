"""Each recipe against the paper: supplement, sections A and B.3, and the table of released models."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from shared.core.errors import UsageError
from trainer.recipe import Recipe, first_difference, flat, load_recipe, names, to_toml

MAIN = {
    "video.fps": 25.0,
    "video.seconds": 3.0,
    "video.frames": 16,
    "video.short_side": [256, 320],
    "video.size": 224,
    "audio.sample_rate": 48_000,
    "audio.n_fft": 1024,
    "audio.hop": 501,
    "audio.mels": 96,
    "audio.time_mask": 0.5,
    "audio.frequency_mask": 0.5,
    "data.batch_size": 64,
    "data.same_title": 1 / 8,
    "data.primary": "orig",
    "model.video.kind": "mvit",
    "model.audio.kind": "mvit",
    "model.head.kind": "mlp",
    "model.head.size": 512,
    "objective.loss": "infonce",
    "objective.temperature": 0.07,
    "optimiser.rate": 3e-4,
    "optimiser.weight_decay": 5e-2,
    "optimiser.epochs": 12,
    "optimiser.warmup_epochs": 2,
}
CONTROLLED = {
    "audio.channels": 2,
    "data.batch_size": 26,
    "data.same_title": 12,
    "model.audio.kind": "acoustic_resnet50",
    "model.audio.stem": 32,
    "model.head.shared": False,
    "optimiser.rate": 1e-3,
    "optimiser.betas": [0.9, 0.999],
    "optimiser.weight_decay": 0.05,
    "optimiser.epochs": 10,
    "optimiser.warmup_epochs": 0.5,
}
CROSS = {"v_p|a_p", "v_s|a_s", "v_p|a_s", "v_s|a_p"}
BOTH_PATHS = {"v_p|a_p", "v_p|a_s"}

VARIANTS: dict[str, dict[str, Any]] = {
    "main-b3": {"data.secondary": "same", "model.initial": "", "λ": (0, 0), "terms": CROSS},
    "main-b4": {"data.secondary": "same", "model.initial": "main-b3", "terms": CROSS | {"v_p|v_s", "a_p|a_s"}},
    "main-b5": {"data.secondary": "uniform", "model.initial": "main-b3", "λ": (0.2, 0.2)},
    "main-c2": {"data.secondary": "uniform", "model.initial": "main-c1", "λ": (0.1, 0.1)},
    "en": {"data.secondary": "same", "terms": BOTH_PATHS},
    "es": {"data.secondary": "fixed", "data.languages": ["es"], "terms": BOTH_PATHS},
    "fr": {"data.secondary": "fixed", "data.languages": ["fr"], "terms": BOTH_PATHS},
    "ja": {"data.secondary": "fixed", "data.languages": ["ja"], "terms": BOTH_PATHS},
    "efj": {"data.secondary": "round-robin", "data.languages": ["es", "fr", "ja"], "terms": BOTH_PATHS},
    "sep": {
        "data.primary": "background", "data.secondary": "none", "audio.sample_rate": 44_100, "terms": {"v_p|a_p"},
    },
    "aud": {"data.secondary": "same", "model.video": None, "terms": {"a_p|a_s"}},
    "aud-efj": {
        "data.secondary": "round-robin", "data.languages": ["es", "fr", "ja"], "model.video": None,
        "terms": {"a_p|a_s"},
    },
}  # fmt: skip


def values(recipe: Recipe) -> dict[str, Any]:
    objective = recipe.objective
    return {
        **flat(recipe.model_dump(mode="json")),
        "λ": (objective.lambda_v, objective.lambda_a),
        "terms": set(recipe.weights()),
    }


@pytest.mark.parametrize("name", VARIANTS)
def test_a_recipe_is_the_papers(name: str) -> None:
    found = values(load_recipe(name))
    expected = {**MAIN, **VARIANTS[name]}
    if not name.startswith("main-"):
        expected = {**MAIN, **CONTROLLED, **VARIANTS[name]}
        if expected.get("model.video", True) is None:
            del expected["model.video.kind"]
        else:
            expected["model.video.kind"] = "x3d_m"
    assert {key: found[key] for key in expected} == expected


def test_no_recipe_is_left_out() -> None:
    twins = {f"tiny-{name.removeprefix('main-')}" for name in VARIANTS}
    assert set(names()) == set(VARIANTS) | twins | {"demo"}


@pytest.mark.parametrize("name", VARIANTS)
def test_a_twin_differs_in_size_and_speed_only(name: str) -> None:
    small, large = load_recipe(f"tiny-{name.removeprefix('main-')}"), load_recipe(name)
    assert small.weights() == large.weights() and small.description == large.description
    kept = ("secondary", "primary", "languages", "one_window", "same_title", "held_out")
    assert all(getattr(small.data, key) == getattr(large.data, key) for key in kept)
    assert small.audio.sample_rate == large.audio.sample_rate and small.model.head.shared == large.model.head.shared
    assert bool(small.model.initial) == bool(large.model.initial)
    kinds = {tower.kind for tower in (small.model.video, small.model.audio) if tower is not None}
    assert kinds == {"tiny"} and small.optimiser.steps <= 500


@pytest.mark.parametrize("name", names())
def test_a_recipe_written_out_is_the_same(name: str, tmp_path: Path) -> None:
    recipe = load_recipe(name, ["optimiser.clip=0.5"])
    (tmp_path / "x.toml").write_text(to_toml(recipe))
    assert load_recipe(str(tmp_path / "x.toml")) == recipe


def test_a_users_recipe_inherits_from_ours_and_from_a_file_beside_it(tmp_path: Path) -> None:
    (tmp_path / "base.toml").write_text('inherits = "tiny-efj"\n[objective.terms]\n"v_p|a_s" = 2.0\n')
    (tmp_path / "mine.toml").write_text('inherits = ["_tiny", "base.toml"]\n[data]\nbatch_size = 5\n')
    recipe = load_recipe(str(tmp_path / "mine.toml"))
    assert recipe.name == "mine" and recipe.data.batch_size == 5
    assert recipe.weights() == {"v_p|a_s": 2.0}


@pytest.mark.parametrize(
    "text, code",
    [
        ('inherits = "mine.toml"', "bad_recipe"),
        ("inherits = ", "bad_recipe"),
        ('inherits = "nothing"', "unknown_recipe"),
        ("[data]\nbatch = 3", "bad_setting"),
        ("[data]\nbatch_size = 1", "bad_setting"),
        ('[objective.terms]\n"v_p|v_p" = 1.0', "bad_setting"),
        ("[model]\nvideo = false", "bad_setting"),
        ('[data]\nsecondary = "none"', "bad_setting"),
    ],
)
def test_a_wrong_recipe_says_what_is_wrong(tmp_path: Path, text: str, code: str) -> None:
    (tmp_path / "mine.toml").write_text(text)
    with pytest.raises(UsageError) as caught:
        load_recipe(str(tmp_path / "mine.toml"))
    assert caught.value.code == code and str(tmp_path) not in caught.value.message


@pytest.mark.parametrize("parent", ["../{folder}/b.toml", "b.toml", "../link/b.toml"])
def test_a_circle_of_recipes_is_named(tmp_path: Path, parent: str) -> None:
    folder = tmp_path / "recipes"
    folder.mkdir()
    (tmp_path / "link").symlink_to(folder)
    (folder / "a.toml").write_text(f'inherits = "{parent.format(folder=folder.name)}"')
    (folder / "b.toml").write_text('inherits = ["_tiny", "../recipes/a.toml"]')
    with pytest.raises(UsageError) as caught:
        load_recipe(str(folder / "a.toml"))
    assert caught.value.code == "bad_recipe" and "a.toml → b.toml → a.toml" in caught.value.message


def test_two_parents_may_have_one_parent(tmp_path: Path) -> None:
    for name in ("b", "c"):
        (tmp_path / f"{name}.toml").write_text('inherits = "tiny-en"')
    (tmp_path / "a.toml").write_text('inherits = ["b.toml", "c.toml"]')
    assert load_recipe(str(tmp_path / "a.toml")).name == "a"


def test_only_what_changes_the_training_makes_another_recipe() -> None:
    one = load_recipe("tiny-en")
    assert first_difference(one, load_recipe("tiny-en", ["data.workers=7", "running.keep=9", "name=x"])) is None
    assert first_difference(one, load_recipe("tiny-en", ["optimiser.rate=1.0"])) == "optimiser.rate"
    assert first_difference(one, load_recipe("tiny-en", ["running.precision=bf16"])) == "running.precision"
    assert first_difference(one, load_recipe("tiny-aud")) is not None
