"""The contract over all synthesisers: the true code, on tiny checkpoints in the format of their releases."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from shared.core.errors import EngineError, UsageError
from shared.engines.protocols import EngineOptions, SpeechRequest
from tests.conftest import CheckedWeights
from tests.engines import tiny_dubbing, tiny_translation
from tests.engines.contract_synthesizer import BatchContract, Case, SynthesizerContract, code_of


def voice_of(seconds: float, seed: int = 0) -> np.ndarray:
    """Something with the rhythm of speech, mono 16 kHz."""
    time = np.arange(int(seconds * 16_000)) / 16_000
    noise = np.random.default_rng(seed).standard_normal(time.size)
    hum = np.sin(2 * np.pi * 140 * time) + 0.5 * np.sin(2 * np.pi * 280 * time) + 0.1 * noise
    return (0.1 * hum * (0.6 + 0.4 * np.sin(2 * np.pi * 3 * time))).astype(np.float32)


class TestKokoro(SynthesizerContract):
    @pytest.fixture(scope="class")
    @classmethod
    def case(cls, weights: Any) -> Case:
        pytest.importorskip("onnxruntime")
        pytest.importorskip("espeakng_loader")
        from services.dubbing.engines.kokoro.engine import KokoroSynthesizer

        weights.path("kokoro-82m-int8")
        weights.path("kokoro-voices")
        return Case(KokoroSynthesizer, EngineOptions(), "es", "Hola, ¿qué tal?", "ef_dora", long_words=40)


class TestMms(SynthesizerContract, BatchContract):
    @pytest.fixture(scope="class")
    @classmethod
    def case(cls, tmp_path_factory: pytest.TempPathFactory) -> Case:
        pytest.importorskip("torch")
        pytest.importorskip("transformers")
        from services.dubbing.engines.mms import MmsSynthesizer

        base = tmp_path_factory.mktemp("mms")
        tiny_dubbing.mms(base / "es")
        tiny_dubbing.mms(base / "fra", seed=1, rate=24_000)
        options = EngineOptions(str(base), extra={"batch_size": 8})
        return Case(MmsSynthesizer, options, "es", "hola amigo que tal", "mms")

    def test_a_folder_a_language(self, case: Case, engine: Any) -> None:
        assert [voice.language for voice in engine.voices("fr")] == ["fr"]
        assert code_of(lambda: engine.synthesize(SpeechRequest("hallo", "de", "mms")), UsageError) == "no_voice"

    def test_all_languages_have_one_rate(self, case: Case, engine: Any) -> None:
        assert engine.network("fr").sample_rate == 24_000
        audio = engine.synthesize(SpeechRequest("bonjour mes amis", "fr", "mms"))
        assert audio.size > 0.2 * engine.sample_rate

    def test_a_processor_takes_one_line_at_a_time(self, case: Case, engine: Any) -> None:
        assert (engine.together, case.kind(EngineOptions(case.options.model), CheckedWeights()).together) == (8, 1)

    def test_other_scripts_are_romanised_with_tables_read_once(
        self, case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The tokenizer reads them anew for every text: five seconds a line of Korean."""
        uroman = pytest.importorskip("uroman")
        from transformers import VitsTokenizer

        from services.dubbing.engines.mms import romaniser

        folder = tiny_dubbing.mms(tmp_path / "ko")
        stated = folder / "tokenizer_config.json"
        stated.write_text(stated.read_text().replace('"is_uroman": false', '"is_uroman": true'))
        text = "안녕 친구"
        theirs = VitsTokenizer.from_pretrained(str(folder))(text)["input_ids"]
        romaniser.cache_clear()
        read, usual = [], uroman.Uroman

        def watched() -> object:
            read.append(1)
            return usual()

        monkeypatch.setattr(uroman, "Uroman", watched)
        engine = case.kind(EngineOptions(str(tmp_path)), CheckedWeights())
        assert engine.network("ko").tokens(text, "ko") == theirs
        assert engine.synthesize(SpeechRequest(text, "ko", "mms")).size and len(read) == 1

    def test_its_files_name_its_results(self, case: Case) -> None:
        (digest,) = case.kind.digests(case.options).values()
        assert len(digest) == 64
        assert case.kind.digests(EngineOptions()) == {"facebook/mms-tts-*": "main"}

    def test_other_precision(self, case: Case) -> None:
        half = case.load(dtype="bfloat16")
        assert case.speak(half).size

    def test_not_on_this_machine(self, case: Case) -> None:
        pytest.importorskip("huggingface_hub")
        engine = case.kind(EngineOptions(extra={"revision": "none"}), CheckedWeights())
        assert code_of(lambda: engine.synthesize(SpeechRequest("hola", "es", "mms")), EngineError) == "weights_missing"


class TestCoquiVits(SynthesizerContract, BatchContract):
    @pytest.fixture(scope="class")
    @classmethod
    def case(cls, tmp_path_factory: pytest.TempPathFactory) -> Case:
        pytest.importorskip("TTS")
        from services.dubbing.engines.coqui_vits import CoquiVitsSynthesizer

        folder = tiny_dubbing.coqui_vits(tmp_path_factory.mktemp("vits"), ("ann", "bob"))
        options = EngineOptions(str(folder), extra={"genders": {"bob": "male"}, "batch_size": 8})
        return Case(CoquiVitsSynthesizer, options, "en", "hello my friend", "bob")

    def test_speakers(self, case: Case, engine: Any) -> None:
        assert [(voice.id, voice.gender) for voice in engine.voices("en")] == [("ann", "female"), ("bob", "male")]
        assert not np.array_equal(case.speak(engine, voice="ann"), case.speak(engine, voice="bob"))

    def test_a_folder_a_language(self, tmp_path: Any, case: Case) -> None:
        tiny_dubbing.coqui_vits(tmp_path / "es", language="")
        engine = case.kind(EngineOptions(str(tmp_path)), CheckedWeights())
        assert [voice.id for voice in engine.voices("es")] == ["vits"]
        assert engine.voices("en") == []
        assert engine.synthesize(SpeechRequest("hola", "es", "vits")).size

    def test_our_own_trainer_stays_importable(self, case: Case, engine: Any) -> None:
        import trainer

        assert not hasattr(trainer, "TrainerConfig")


class TestSeamless(SynthesizerContract):
    @pytest.fixture(scope="class")
    @classmethod
    def case(cls, tmp_path_factory: pytest.TempPathFactory) -> Case:
        pytest.importorskip("torch")
        pytest.importorskip("transformers")
        from services.dubbing.engines.seamless import SeamlessSynthesizer

        folder = tiny_translation.seamless(tmp_path_factory.mktemp("seamless") / "v2")
        return Case(SeamlessSynthesizer, EngineOptions(str(folder)), "es", "Hola, amigo.", "0", long_words=40)


@pytest.mark.slow
class TestXtts(SynthesizerContract):
    @pytest.fixture(scope="class")
    @classmethod
    def case(cls, tmp_path_factory: pytest.TempPathFactory) -> Case:
        pytest.importorskip("TTS")
        from services.dubbing.engines.xtts import XttsSynthesizer

        folder = tiny_dubbing.xtts(tmp_path_factory.mktemp("xtts"))
        return Case(
            XttsSynthesizer,
            EngineOptions(str(folder)),
            "es",
            "hola amigo",
            "clone",
            long_words=40,
            reference=voice_of(3.0),
        )

    def test_it_listens_to_the_reference(self, case: Case, engine: Any) -> None:
        other = case.speak(engine, reference=voice_of(3.0, seed=9)[:30_000])
        assert not np.array_equal(case.speak(engine), other)

    def test_another_seed_is_another_take(self, case: Case, engine: Any) -> None:
        assert not np.array_equal(case.speak(engine, seed=0), case.speak(engine, seed=1))

    @pytest.mark.parametrize(
        ("language", "text", "read"),
        [("ja", "猫が好きです。", "neko"), ("zh", "你好吗？", "hao3"), ("ko", "안녕", "annyeong")],
    )
    def test_other_scripts_are_read_by_the_packages_of_the_lock(
        self, case: Case, tmp_path: Path, language: str, text: str, read: str
    ) -> None:
        """cutlet with a dictionary, pypinyin: without them the language failed with its first line."""
        engine = case.kind(
            EngineOptions(str(tiny_dubbing.xtts(tmp_path, ("en", "ja", "zh-cn", "ko")))), CheckedWeights()
        )
        assert case.kind.languages_spoken(engine._options) == ("en", "ja", "zh", "ko")
        assert read in engine._model().tokenizer.preprocess_text(text, language).replace(" ", "")
        assert engine.synthesize(SpeechRequest(text, language, "clone", reference=voice_of(3.0))).size

    def test_no_reference(self, case: Case, engine: Any) -> None:
        for nobody in (None, voice_of(0.5)):
            assert code_of(partial(case.speak, engine, reference=nobody), EngineError) == "no_reference"

    def test_voices_that_come_with_it(self, case: Case, engine: Any) -> None:
        assert engine.describe("Ana", "es").voice == "Ana"
        assert case.speak(engine, voice="Ana", reference=None).size
        assert code_of(lambda: engine.describe("nobody", "es"), UsageError) == "unknown_voice"

    def test_the_files_stay_as_they_are(self, case: Case, engine: Any) -> None:
        before = case.kind.digests(case.options)
        engine.release()
        case.speak(engine)
        assert case.kind.digests(case.options) == before

    def test_not_for_commercial_use(self, case: Case) -> None:
        assert case.kind.licence.name == "CPML"
        assert not case.kind.licence.commercial_use
