"""Engines whose results may not be used commercially ask first; and the settings files that come with the program."""

from __future__ import annotations

from importlib import resources
from typing import Any

import pytest

from shared.core.errors import UsageError
from shared.engines.protocols import Licence, registered
from shared.pipeline import licences
from shared.settings.models import Settings, load_settings

PROFILES = sorted(
    file.name.removesuffix(".toml")
    for file in (resources.files("shared") / "profiles").iterdir()
    if file.name.endswith(".toml")
)


class Bought:
    licence = Licence("CPML", commercial_use=False, note="Not for commercial use.")


class Free:
    licence = Licence("MIT")


@pytest.fixture
def classes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(licences, "engine_class", lambda kind, name: Bought if name in {"xtts", "nllb"} else Free)


def settings(**sections: Any) -> Settings:
    return Settings.model_validate(sections)


def test_free_engines_pass(classes: None) -> None:
    licences.require(Settings())


def test_refused_until_accepted(classes: None) -> None:
    wanted = settings(dubbing={"engine": "xtts"})
    with pytest.raises(UsageError) as caught:
        licences.require(wanted)
    assert caught.value.code == "licence_not_accepted"
    assert "--accept-licence CPML" in caught.value.message
    assert caught.value.details["engines"] == ["xtts"]
    licences.require(wanted, ["cpml"])
    licences.require(wanted, ["xtts"])
    licences.require(settings(dubbing={"engine": "xtts"}, licences={"accepted": ["CPML"]}))
    with pytest.raises(UsageError):
        licences.require(wanted, ["MIT"])


@pytest.mark.parametrize(
    "sections",
    [
        {"translation": {"by_language": {"fr": "nllb"}}},
        {"dubbing": {"guard": {"fallback": "xtts"}}},
        {"dubbing": {"converter": "xtts"}},
    ],
)
def test_every_engine_that_may_run_is_asked_about(classes: None, sections: dict[str, Any]) -> None:
    assert len(licences.not_accepted(settings(**sections))) == 1


def test_an_engine_that_is_not_here_is_not_judged() -> None:
    assert licences.terms([("synthesizer", "nobody")]) == []


@pytest.mark.parametrize("name", PROFILES)
def test_profiles_name_engines_that_there_are(name: str) -> None:
    loaded = load_settings(name)
    assert loaded.profile == name
    missing = [(kind, engine) for kind, engine in licences.engines(loaded) if engine not in registered(kind)]
    assert not missing


def test_there_is_a_profile_for_every_need() -> None:
    assert {"cpu", "gpu", "paper", "commercial", "fastest", "best"} <= set(PROFILES)


@pytest.mark.parametrize("name", ["cpu", "fastest", "commercial"])
def test_profiles_for_any_use(name: str) -> None:
    licences.require(load_settings(name))


@pytest.mark.parametrize(
    ("name", "names"), [("gpu", {"CPML"}), ("best", {"CPML", "CC-BY-NC-4.0"}), ("paper", {"CC-BY-NC-4.0"})]
)
def test_profiles_that_ask_first(name: str, names: set[str]) -> None:
    chosen = load_settings(name)
    if any(engine not in registered(kind) for kind, engine in licences.engines(chosen)):
        pytest.skip("an engine is not registered")
    with pytest.raises(UsageError) as caught:
        licences.require(chosen)
    assert set(caught.value.details["licences"]) == names
    licences.require(chosen, sorted(names))
