"""What every synthesiser must do, whatever is behind it. One suite, run over all of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest

from services.dubbing.stage import STAGE
from shared.core.errors import Cancelled, EngineError, UsageError
from shared.engines.accelerator import BatchSize
from shared.engines.protocols import EngineOptions, SpeechRequest
from shared.pipeline.stage import Scope
from shared.settings.models import DubbingSettings
from tests.conftest import CheckedWeights
from tests.engines.stopping import Stopping
from tests.unit.services.dubbing.stand_ins import title, utterance


@dataclass
class Case:
    """An engine under test, with what to ask of it."""

    kind: type[Any]
    options: EngineOptions
    language: str
    text: str
    voice: str
    unknown: str = "xx"
    """A language that it does not speak."""
    long_words: int = 200
    reference: np.ndarray | None = None
    threads: int = 1
    """Tiny networks only wait for a second one."""

    def load(self, **extra: Any) -> Any:
        options = EngineOptions(self.options.model, "cpu", self.threads, 0, {**self.options.extra, **extra})
        return self.kind(options, CheckedWeights())

    def speak(self, engine: Any, text: str | None = None, **given: Any) -> np.ndarray:
        usual = SpeechRequest(self.text if text is None else text, self.language, self.voice, reference=self.reference)
        audio = engine.synthesize(replace(usual, **given))
        assert audio.dtype == np.float32
        assert audio.ndim == 1
        assert np.isfinite(audio).all()
        return np.asarray(audio)


def code_of(call: Callable[[], Any], kind: type[Exception]) -> str:
    with pytest.raises(kind) as caught:
        call()
    return str(caught.value.code)  # type: ignore[attr-defined]


class SynthesizerContract:
    """Inherit and give a fixture ``case``; ``engine`` is loaded once for all tests of a class."""

    @pytest.fixture(scope="class")
    @classmethod
    def engine(cls, case: Case) -> Any:
        return case.load()

    def test_states_its_terms_without_loading(self, case: Case) -> None:
        assert case.kind.licence.name
        assert case.kind.name
        assert isinstance(case.kind.weights(case.options), tuple)
        low, high = case.kind.native_speed
        assert 0.5 <= low <= 1 <= high <= 2

    def test_voices(self, case: Case, engine: Any) -> None:
        voices = engine.voices(case.language)
        assert case.voice in [voice.id for voice in voices]
        assert all(voice.gender in {"female", "male"} for voice in voices)
        assert engine.voices(case.unknown) == []

    def test_speech_and_seed(self, case: Case, engine: Any) -> None:
        first = case.speak(engine, seed=3)
        assert 0.05 < first.size / engine.sample_rate < 30
        assert 8_000 <= engine.sample_rate <= 48_000
        np.testing.assert_array_equal(first, case.speak(engine, seed=3))

    def test_speed(self, case: Case, engine: Any) -> None:
        low, high = engine.native_speed
        if high - low > 0.2:
            assert case.speak(engine, speed=high).size < case.speak(engine, speed=low).size

    @pytest.mark.parametrize("text", ["", "  ", "… — !"])
    def test_nothing_to_speak(self, case: Case, engine: Any, text: str) -> None:
        assert code_of(lambda: case.speak(engine, text), EngineError) == "nothing_to_speak"

    def test_long_text(self, case: Case, engine: Any) -> None:
        words = case.text.split()
        text = " ".join((words * case.long_words)[: case.long_words])
        assert case.speak(engine, text).size > 2 * case.speak(engine, " ".join(words[:2])).size

    def test_it_stops_when_told(self, case: Case, engine: Any, tmp_path: Any) -> None:
        """The stage ends at the line where it is told to, and the engine works as before."""
        before = case.speak(engine, seed=1)
        lines = [utterance(number, 3.0 * number, 3.0 * number + 2.0) for number in range(3)]
        texts = {line.id: [case.text] for line in lines}
        inputs = title(tmp_path, lines, texts, voice=case.voice)
        if case.reference is not None:
            np.savez(tmp_path / "references.npz", S1=case.reference)
            inputs["references.npz"] = tmp_path / "references.npz"
        work = Stopping(tmp_path / "stopped", 1)
        with pytest.raises(Cancelled):
            STAGE.run(Scope(case.language, 0), inputs, DubbingSettings(), {"synthesizer": engine}, work)
        assert work.parts > 0 and work.counters["ok"] + work.counters.get("overflow", 0) == 1
        np.testing.assert_array_equal(before, case.speak(engine, seed=1))

    def test_unknown_voice(self, case: Case, engine: Any) -> None:
        assert code_of(lambda: case.speak(engine, voice="nobody"), UsageError) == "unknown_voice"

    def test_missing_weights(self, case: Case, tmp_path: Any) -> None:
        if case.options.model:
            gone = EngineOptions(str(tmp_path / "gone"), "cpu")
            assert code_of(lambda: case.kind(gone, CheckedWeights()), EngineError) == "weights_missing"

    def test_memory_given_back(self, case: Case, engine: Any) -> None:
        if not hasattr(engine, "release"):
            pytest.skip("keeps its model")
        before = case.speak(engine, seed=1)
        engine.release()
        np.testing.assert_array_equal(before, case.speak(engine, seed=1))
        assert case.kind.memory_mb > 0


class BatchContract:
    """For engines that take several lines at once."""

    TEXTS = ("hola amigo mio donde esta la estacion", "que tal", "una frase mucho mas larga que todas las otras dos")

    def requests(self, case: Case) -> list[SpeechRequest]:
        return [SpeechRequest(text, case.language, case.voice, 1.0, seed) for seed, text in enumerate(self.TEXTS)]

    def test_a_line_does_not_depend_on_its_batch(self, case: Case, engine: Any) -> None:
        requests = self.requests(case)
        together = engine.synthesize_batch(requests)
        backwards = engine.synthesize_batch(requests[::-1])[::-1]
        for request, one, other in zip(requests, together, backwards, strict=True):
            alone = case.speak(engine, request.text, seed=request.seed)
            assert one.size == other.size == alone.size
            # The end, where the decoder of a padded row hears silence, is left out.
            heard = max(alone.size - engine.sample_rate // 8, alone.size // 4)
            np.testing.assert_allclose(one[:heard], alone[:heard], atol=2e-2)

    def test_speeds_differ_within_a_batch(self, case: Case, engine: Any) -> None:
        request = self.requests(case)[0]
        slow, fast = engine.synthesize_batch([replace(request, speed=0.8), replace(request, speed=1.3)])
        assert fast.size < slow.size

    def test_too_little_memory_halves_the_batch(self, case: Case, engine: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        network = engine.network(case.language)
        run, sizes = network.run, []

        def scarce(batch: Any, parts: Any) -> Any:
            sizes.append(len(batch))
            if len(batch) > 1:
                raise RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB")
            return run(batch, parts)

        monkeypatch.setattr(engine, "_batch", BatchSize(8))
        monkeypatch.setattr(network, "run", scarce)
        assert len(engine.synthesize_batch(self.requests(case))) == 3
        assert sizes == [3, 1, 1, 1]
        assert engine.together == 1, "what did not fit is not tried again while it is loaded"

    def test_not_even_one_fits(self, case: Case, engine: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        def none(batch: Any, parts: Any) -> Any:
            raise RuntimeError("CUDA out of memory")

        monkeypatch.setattr(engine.network(case.language), "run", none)
        assert code_of(lambda: case.speak(engine), EngineError) == "out_of_memory"
