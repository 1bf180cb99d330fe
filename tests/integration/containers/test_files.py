"""The files that containers are made of say what they have to, without Docker; ``run`` beside this runs them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from shared.queue.service_settings import CARD_QUEUES, FETCH, QUEUES, ServiceSettings
from tests.conftest import ROOT

COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES = COMPOSE["services"]
WAY_OUT = {"api", "fetch", "weights"}
IMAGES = sorted({service["build"]["args"]["LOCK"] for service in SERVICES.values() if "build" in service})


def pins(path: Path) -> set[str]:
    return set(re.findall(r"^([a-z0-9_.-]+==[^ \\]+)", path.read_text(), re.MULTILINE))


@pytest.mark.parametrize("queue", [*QUEUES, FETCH])
def test_every_queue_has_a_worker(queue: str) -> None:
    assert SERVICES[queue]["command"] == ["counterdub", "worker", "--queues", queue]


@pytest.mark.parametrize("name", SERVICES)
def test_services_can_do_no_more_than_they_need(name: str) -> None:
    service = SERVICES[name]
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["read_only"] is True
    assert not service.get("privileged")


def test_only_those_who_fetch_have_a_way_out() -> None:
    assert {name for name, service in SERVICES.items() if "egress" in service.get("networks", [])} == WAY_OUT
    assert COMPOSE["networks"]["backend"]["internal"] == "${COUNTERDUB_ISOLATED:-true}"


def test_the_api_listens_on_loopback_unless_asked() -> None:
    assert SERVICES["api"]["ports"] == ["${COUNTERDUB_LISTEN:-127.0.0.1:8000}:8000"]
    assert [name for name, service in SERVICES.items() if "ports" in service] == ["api"]


def test_the_image_runs_as_an_own_user() -> None:
    last = (ROOT / "deploy/Dockerfile").read_text().rpartition("FROM ")[2]
    assert re.search(r"^USER counterdub$", last, re.MULTILINE)
    assert SERVICES["postgres"]["user"] == "postgres"
    assert SERVICES["redis"]["user"] == "redis"


def test_settings_are_named_as_the_service_reads_them() -> None:
    known = {f"COUNTERDUB_{name.upper()}" for name in ServiceSettings.model_fields}
    given = {name.removesuffix("_FILE") for name in SERVICES["api"]["environment"] if name.startswith("COUNTERDUB_")}
    assert given <= known | {"COUNTERDUB_LOG_LEVEL"}


def test_the_example_names_only_what_is_read() -> None:
    text = (ROOT / "docker-compose.yml").read_text()
    environments = [SERVICES[name]["environment"] for name in ("api", "translation")]
    passed_on = {name for given in environments for name, value in given.items() if value is None}
    read = passed_on | set(re.findall(r"\$\{([A-Z_]+)", text)) | {"COMPOSE_PROFILES"}
    named = set(re.findall(r"^# ([A-Z_]+)=", (ROOT / ".env.example").read_text(), re.MULTILINE))
    assert named <= read


def test_what_asks_for_a_card_is_left_to_those_who_have_one() -> None:
    served = {name: service["command"][-1].split(",") for name, service in SERVICES.items() if serves(service)}
    for queue in CARD_QUEUES:
        assert [name for name, queues in served.items() if queue in queues] == [queue]
        assert SERVICES[queue]["deploy"]["resources"]["reservations"]["devices"]


def serves(service: dict[str, Any]) -> bool:
    return service.get("command", [])[:2] == ["counterdub", "worker"]


def test_only_translation_knows_the_endpoint() -> None:
    knowing = {name for name, service in SERVICES.items() if "OPENAI_API_KEY" in (service.get("environment") or {})}
    assert knowing == {"translation", "translation-gpu"}
    assert SERVICES["translation"]["environment"].items() > SERVICES["dubbing"]["environment"].items()


def test_torchaudios_compiled_part_is_in_no_image() -> None:
    """It is for one CUDA: beside torch of an older one, which COUNTERDUB_TORCH_INDEX may bring, it does not load."""
    commands = re.sub(r"\\\n", " ", (ROOT / "deploy/Dockerfile").read_text())
    [command] = [line for line in commands.splitlines() if "torchaudio/lib" in line and line.startswith("RUN")]
    assert "&& rm -f /opt/counterdub/lib/python*/site-packages/torchaudio/lib/*.so" in " ".join(command.split())
    assert "torch.version" not in command


def test_the_hubs_copies_lie_among_the_models() -> None:
    assert "HF_HOME=/models/huggingface" in (ROOT / "deploy/Dockerfile").read_text()
    assert all("models:/models:ro" in service["volumes"] for name, service in SERVICES.items() if name in QUEUES)


def test_no_password_is_written_down() -> None:
    text = (ROOT / "docker-compose.yml").read_text() + (ROOT / "deploy/make-secrets").read_text()
    assert not re.search(r"POSTGRES_PASSWORD[:=]", text)
    assert "trust" not in text


@pytest.mark.parametrize("image", [*IMAGES, "build"])
def test_an_image_holds_the_versions_that_were_tested(image: str) -> None:
    own = pins(ROOT / f"requirements/{image}.txt")
    assert own
    # CUDA's own libraries can be tried on a card only.
    tried = {pin for lock in ("run", "trainer", "engines") for pin in pins(ROOT / f"requirements/{lock}.txt")}
    assert {pin for pin in own if not pin.startswith("nvidia-")} <= tried


def test_images_for_graphics_cards_differ_in_their_lock_alone() -> None:
    assert SERVICES["trainer-gpu"]["build"] == SERVICES["trainer"]["build"], "torch is in both"
    for stage in ("separation", "transcription", "translation", "dubbing"):
        with_card, without = SERVICES[f"{stage}-gpu"], SERVICES[stage]
        assert with_card["build"]["args"]["LOCK"] == f"{stage}-gpu"
        assert with_card["command"][-1] == f"{stage}-gpu,{without['command'][-1]}", "it can do what the other can"
        assert with_card["deploy"]["resources"]["reservations"]["devices"][0]["driver"] == "nvidia"
