"""The endpoint's translator against a real server on this machine."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from services.translation.engines import openai
from services.translation.engines.openai import OpenAITranslator
from shared.core.errors import EngineError, UsageError
from shared.engines.protocols import EngineOptions, Line
from tests.engines.endpoint import Endpoint, Reply, completion, says, serving
from tests.unit.services.translation.fakes import SPANISH, translate, utterances

pytest.importorskip("httpx2")
KEY = "sk-not-to-be-seen"


@pytest.fixture
def endpoint(monkeypatch: pytest.MonkeyPatch) -> Iterator[Endpoint]:
    monkeypatch.setattr(openai, "WAIT_SECONDS", 0.01)
    with serving() as (server, url):
        monkeypatch.setenv("OPENAI_BASE_URL", url)
        monkeypatch.setenv("OPENAI_API_KEY", KEY)
        yield server


def engine(**extra: Any) -> OpenAITranslator:
    return OpenAITranslator(EngineOptions(model="some-model", extra=extra), None)


def spanish(endpoint: Endpoint) -> None:
    endpoint.answer = lambda request: says(SPANISH[endpoint_line(request)])


def endpoint_line(request: dict[str, Any]) -> str:
    import json

    return json.loads(request["messages"][-1]["content"])["line"]


def test_a_line_goes_with_its_neighbours_its_room_and_its_terms(endpoint: Endpoint) -> None:
    endpoint.answer = lambda request: says("Enciende el motor.", " Enciende\nel motor. ", "Arranca el motor.")
    line = Line("Start the warp drive.", ("Ready?",), ("Now!",), 25, (("warp drive", "motor"),))
    (found,) = engine().translate([line], "en", "es", 3)
    assert [one.text for one in found] == ["Enciende el motor.", "Arranca el motor."]
    assert found[0].score > found[1].score
    assert endpoint.paths == ["/v1/chat/completions"] and endpoint.headers[0]["Authorization"] == f"Bearer {KEY}"
    assert endpoint.asked() == {
        "before": ["Ready?"],
        "line": "Start the warp drive.",
        "after": ["Now!"],
        "max_characters": 25,
        "glossary": {"warp drive": "motor"},
    }
    request = endpoint.requests[0]
    assert "Spanish" in request["messages"][0]["content"] and request["model"] == "some-model"
    assert request["temperature"] == 0.0 and request["response_format"]["type"] == "json_schema"


def test_the_stage_shows_neighbours_and_names_the_engine(endpoint: Endpoint, tmp_path: Path) -> None:
    spanish(endpoint)
    answers, _ = translate(tmp_path, utterances(SPANISH), engine(), context_lines=1)
    assert [answer.hypotheses[0].text for answer in answers] == list(SPANISH.values())
    assert {answer.engine for answer in answers} == {"openai"}
    middle = next(number for number, request in enumerate(endpoint.requests) if "old key" in endpoint_line(request))
    assert endpoint.asked(middle)["before"] == ["Good evening, Tom."]


def test_several_lines_are_asked_at_once_and_stay_in_order(endpoint: Endpoint) -> None:
    def answer(request: dict[str, Any]) -> Reply:
        time.sleep(0.05)
        return says(f"Línea: {endpoint_line(request)}")

    endpoint.answer = answer
    lines = [Line(f"number {number}") for number in range(8)]
    found = engine(concurrency=4).translate(lines, "en", "es", 1)
    assert [one[0].text for one in found] == [f"Línea: {line.text}" for line in lines]
    assert 1 < endpoint.most <= 4


@pytest.mark.parametrize(
    "reply",
    [
        (200, {}, b"<html>"),
        (200, {}, b"[]"),
        (200, {}, b'{"choices": []}'),
        (200, {}, b'{"choices": [{"message": {"content": null}}]}'),
        completion("Buenas noches."),
        completion({"translations": "Buenas noches."}),
        completion({"translations": [{"text": "Buenas"}]}),
        completion({"translations": ["Buenas noches."]}, reason="length"),
        (200, {}, b'{"choices": "' + b"x" * (1 << 20) + b'"}'),
    ],
)
def test_an_answer_that_is_not_what_was_asked_for_fails_its_line_alone(
    endpoint: Endpoint, reply: Any, tmp_path: Path
) -> None:
    endpoint.answer = lambda request: (
        reply if "key" in endpoint_line(request) else says(SPANISH[endpoint_line(request)])
    )
    with pytest.raises(EngineError) as caught:
        engine().translate([Line("I have to find the old key.")], "en", "es", 1)
    assert caught.value.code == "line_failed"
    answers, _ = translate(tmp_path, utterances(SPANISH), engine())
    assert [answer.status for answer in answers] == ["ok", "failed", "ok"]


def test_fences_and_reasoning_around_the_object_are_no_harm(endpoint: Endpoint) -> None:
    endpoint.answer = lambda request: completion('<think>{hm}</think>```json\n{"translations": ["Hola."]}\n```')
    assert engine().translate([Line("Hello.")], "en", "es", 1)[0][0].text == "Hola."


def test_a_busy_endpoint_is_asked_again(endpoint: Endpoint) -> None:
    replies = [(503, {}, b""), (429, {"retry-after": "0"}, b""), says("Hola.")]
    endpoint.answer = lambda request: replies.pop(0)
    assert engine().translate([Line("Hello.")], "en", "es", 1)[0][0].text == "Hola."
    assert len(endpoint.requests) == 3


def test_a_model_that_takes_no_options_is_asked_without(endpoint: Endpoint) -> None:
    endpoint.answer = lambda request: (400, {}, b"{}") if "temperature" in request else says("Hola.")
    asked = engine()
    for _ in range(2):
        assert asked.translate([Line("Hello.")], "en", "es", 1)[0][0].text == "Hola."
    assert len(endpoint.requests) == 3


def test_a_refusal_concerns_all_lines_and_never_shows_the_key(
    endpoint: Endpoint, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    caplog.set_level(logging.DEBUG)
    endpoint.answer = lambda request: (401, {}, b'{"error": {"message": "Incorrect key %s."}}' % KEY.encode())
    with pytest.raises(EngineError) as caught:
        translate(tmp_path, utterances(SPANISH), engine())
    assert caught.value.code == "endpoint_failed" and "Incorrect key …" in caught.value.message
    assert KEY not in caplog.text + str(caught.value.to_dict()) + repr(vars(EngineOptions(model="some-model")))


def test_redirects_are_not_followed(endpoint: Endpoint) -> None:
    endpoint.answer = lambda request: (302, {"location": "http://127.0.0.1:9/"}, b"")
    with pytest.raises(EngineError, match="302"):
        engine().translate([Line("Hello.")], "en", "es", 1)


def test_nobody_there_is_said(endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:9/v1")
    with pytest.raises(EngineError) as caught:
        engine().translate([Line("Hello.")], "en", "es", 1)
    assert (caught.value.code, caught.value.retryable) == ("endpoint_failed", True)


@pytest.mark.parametrize("url", ["", "ftp://host/v1", "http://user:secret@host/v1", "127.0.0.1:80"])
def test_without_a_usable_address_it_does_not_load(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", url)
    with pytest.raises(EngineError) as caught:
        engine()
    assert caught.value.code == "engine_load_failed" and "secret" not in caught.value.message
    with pytest.raises(UsageError):
        OpenAITranslator(EngineOptions(), None)
