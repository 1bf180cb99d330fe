"""openai-whisper and faster-whisper on the same weights: the same words, the same contract."""

from __future__ import annotations

import builtins
from itertools import pairwise
from pathlib import Path
from typing import Any

import jiwer
import numpy as np
import pytest
import soundfile as sf

from services.transcription.engines import whisper_weights
from services.transcription.engines.faster_whisper import FasterWhisper
from services.transcription.engines.whisper import OpenAIWhisper, _Prepared, halve
from services.transcription.recognition.chunk_utterances import ChunkSound, listen
from shared.audio.signal import resample
from shared.core.errors import Cancelled, EngineError, UsageError
from shared.core.records import Span
from shared.core.text import normalise
from shared.engines.protocols import EngineOptions, Segment
from shared.settings.models import TranscriptionSettings
from tests.engines.ct2_weights import to_openai


@pytest.fixture(scope="module")
def checkpoint(weights: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The embedded Whisper base as openai-whisper has it."""
    pytest.importorskip("whisper")
    source = weights.path("whisper-base-ct2") / "model.bin"
    return to_openai(source, tmp_path_factory.mktemp("whisper") / "given.pt")


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint with random weights: what matters is that it runs."""
    whisper = pytest.importorskip("whisper")
    import torch

    torch.manual_seed(0)
    dims = whisper.model.ModelDimensions(
        n_mels=80, n_audio_ctx=1500, n_audio_state=32, n_audio_head=2, n_audio_layer=1,
        n_vocab=51865, n_text_ctx=448, n_text_state=32, n_text_head=2, n_text_layer=1,
    )  # fmt: skip
    network = whisper.model.Whisper(dims)
    torch.nn.init.normal_(network.decoder.positional_embedding)  # which Whisper leaves to its checkpoints
    path = tmp_path_factory.mktemp("tiny") / "tiny.pt"
    torch.save({"dims": dims.__dict__, "model_state_dict": network.state_dict()}, path)
    return path


@pytest.fixture(scope="module", params=["openai-whisper", "faster-whisper"])
def recognizer(request: pytest.FixtureRequest, weights: Any) -> Any:
    extra = {"batch_size": 4, "beam_size": 2}
    if request.param == "openai-whisper":
        given = request.getfixturevalue("checkpoint")
        return OpenAIWhisper(EngineOptions(model=str(given), threads=2, extra=extra), weights)
    pytest.importorskip("faster_whisper")
    return FasterWhisper(EngineOptions(model="base", threads=2, extra=extra), weights)


@pytest.fixture(scope="module")
def speech(data_dir: Path) -> np.ndarray:
    """Mono 16 kHz."""
    audio, rate = sf.read(data_dir / "speech" / "jfk.flac", dtype="float32", always_2d=True)
    return resample(audio.mean(axis=1), rate, 16_000)


def words(segments: list[Segment]) -> str:
    return normalise(" ".join(segment.text for segment in segments))


def test_language(recognizer: Any, speech: np.ndarray) -> None:
    found = recognizer.language(speech)
    assert max(found, key=found.get) == "en"
    assert sum(found.values()) == pytest.approx(1, abs=0.01)
    assert recognizer.language(speech[:0]) == {}


def test_words_times_and_the_same_again(recognizer: Any, speech: np.ndarray) -> None:
    piece = speech[: 4 * 16_000]
    found = recognizer.transcribe(piece, "en")
    said = [word for segment in found for word in segment.words]
    assert all(isinstance(segment, Segment) for segment in found)
    assert len(said) >= 4 and all(0 <= a.start <= a.end <= b.end <= 4.5 for a, b in pairwise(said))
    assert all(0 < word.probability <= 1 for word in said)
    assert "fellow americans" in words(found)
    assert recognizer.transcribe(piece, "en") == found


def test_a_batch_hears_what_one_by_one_hears(recognizer: Any, speech: np.ndarray) -> None:
    # Cut at pauses: half a word is anybody's guess.
    pieces = [speech[:52_000], speech[:0], speech[85_000:125_000]]
    together = recognizer.transcribe_many(pieces, "en")
    alone = [recognizer.transcribe(piece, "en") for piece in pieces]
    assert together[1] == []
    for batched, single in zip(together, alone, strict=True):
        assert words(batched) == words(single)
        for one, other in zip(batched, single, strict=False):
            assert one.words[0].start == pytest.approx(other.words[0].start, abs=0.3)


def test_nothing_and_unknown_languages(recognizer: Any, speech: np.ndarray) -> None:
    assert recognizer.transcribe(speech[:0], "en") == []
    assert recognizer.transcribe_many([], "en") == []
    for call in (lambda: recognizer.transcribe(speech, "tlh"), lambda: recognizer.transcribe_many([speech], "tlh")):
        with pytest.raises(UsageError) as error:
            call()
        assert error.value.code == "unknown_language"


def test_it_stops_when_told(recognizer: Any, speech: np.ndarray) -> None:
    """Between two pieces of a sound, and the engine works as before."""
    line, pause = speech[:52_000], np.zeros(40 * 16_000, np.float32)
    mix, later = np.concatenate([line, pause, line]), (line.size + pause.size) / 16_000
    spans = [Span(start=0.0, end=3.2), Span(start=later, end=later + 3.2)]
    heard, told = [], []

    class Counting:
        def transcribe(self, audio: np.ndarray, language: str | None) -> list[Segment]:
            heard.append(audio.size)
            return recognizer.transcribe(audio, language)

    def progress(share: float) -> None:
        told.append(share)
        if len(told) == 2:
            raise Cancelled

    before = recognizer.transcribe(line, "en")
    with pytest.raises(Cancelled):
        listen(ChunkSound(mix, mix, spans, spans), "en", TranscriptionSettings(), {"recognizer": Counting()}, progress)
    assert len(heard) == 1 and heard[0] < 28 * 16_000 < mix.size, "the first of the mix's pieces"
    assert recognizer.transcribe(line, "en") == before


@pytest.mark.slow
def test_both_agree_on_the_words(checkpoint: Path, weights: Any, speech: np.ndarray, data_dir: Path) -> None:
    """In full precision with the whole window: word for word. As configured for the CPU (int8): most of them."""
    decode = pytest.importorskip("faster_whisper").decode_audio
    shots = sorted((data_dir / "dubbed-shots").glob("*_en.mp4"))
    assert len(shots) >= 3
    openai = OpenAIWhisper(EngineOptions(model=str(checkpoint), threads=2), weights)
    exact = FasterWhisper(EngineOptions("base", threads=2, extra={"dtype": "float32", "short_window": False}), weights)
    quick = FasterWhisper(EngineOptions("base", threads=2), weights)
    heard: list[list[str]] = [
        [words(engine.transcribe(audio, "en")) for audio in (speech, *map(decode, map(str, shots)))]
        for engine in (openai, exact, quick)
    ]
    assert heard[0][0] == heard[1][0] == heard[2][0]
    # Rounded to int8, a short line's doubtful word falls differently on different processors.
    for found, limit in zip(heard[1:], (0.02, 0.15), strict=True):
        assert jiwer.wer(heard[0], found) <= limit, (heard[0], found)


@pytest.mark.slow
def test_more_than_a_window(tiny: Path, weights: Any) -> None:
    engine = OpenAIWhisper(EngineOptions(model=str(tiny), threads=1, extra={"beam_size": 1}), weights)
    assert isinstance(engine.transcribe(np.zeros(40 * 16_000, np.float32), "en"), list)


def test_beams_of_a_batch(tiny: Path, weights: Any) -> None:
    """The package's own beam search takes one window only; ours gives every window what it gets alone."""
    engine = OpenAIWhisper(EngineOptions(model=str(tiny), threads=1, extra={"beam_size": 3}), weights)
    sounds = [np.random.default_rng(i).standard_normal(16_000).astype(np.float32) for i in range(3)]
    options_of = engine._whisper.DecodingOptions
    engine._whisper.DecodingOptions = lambda **more: options_of(**more, sample_len=6)
    try:
        together = engine._decode(sounds, "en")
        alone = [engine._decode([sound], "en")[0] for sound in sounds]
    finally:
        engine._whisper.DecodingOptions = options_of
    assert [one.tokens for one in together] == [one.tokens for one in alone]
    assert [one.avg_logprob for one in together] == pytest.approx([one.avg_logprob for one in alone], abs=1e-4)


def test_an_answer_known_beforehand_is_given_once() -> None:
    class Model:
        dims = "dims"

        def decode(self, mel: Any, options: Any) -> str:
            return "fresh"

    prepared = _Prepared(Model(), "known")
    assert [prepared.decode(None, None), prepared.decode(None, None), prepared.dims] == ["known", "fresh", "dims"]


def test_released_hashes_are_those_of_the_package() -> None:
    whisper = pytest.importorskip("whisper")
    listed = {name: (url.split("/")[-1], url.split("/")[-2]) for name, url in whisper._MODELS.items()}
    assert dict(whisper_weights.RELEASED.files) == listed


def test_attention_heads_are_known_by_size(checkpoint: Path, weights: Any) -> None:
    import whisper

    network = whisper.load_model(str(checkpoint), device="cpu")
    assert whisper_weights.family(network, str(checkpoint)) == "base"
    assert whisper_weights.family(network, "small") == "small"


@pytest.mark.parametrize(
    "model, code", [("large-v3", "weights_missing"), ("huge", "unknown_model"), ("/nowhere/x.pt", "weights_missing")]
)
def test_what_is_not_there_is_said(
    model: str, code: str, weights: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("whisper")
    monkeypatch.setenv("COUNTERDUB_MODELS", str(tmp_path))
    with pytest.raises(EngineError) as error:
        OpenAIWhisper(EngineOptions(model=model), weights)
    assert error.value.code == code


def test_a_model_that_the_registry_does_not_have_is_said(weights: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """As the profiles for graphics cards name them."""
    pytest.importorskip("faster_whisper")
    for call in (
        lambda: FasterWhisper(EngineOptions("large-v3"), weights),
        lambda: FasterWhisper.digests(EngineOptions("large-v3")),
    ):
        with pytest.raises(EngineError) as error:
            call()
        assert error.value.code == "weights_missing" and "allow_download" in error.value.message


def test_damaged_and_unreadable_files(weights: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("whisper")
    monkeypatch.setenv("COUNTERDUB_MODELS", str(tmp_path))
    (tmp_path / "openai-whisper").mkdir()
    (tmp_path / "openai-whisper" / "base.pt").write_bytes(b"not it")
    (tmp_path / "bad.pt").write_bytes(b"nor this")
    for model, code in (("base", "weights_damaged"), (str(tmp_path / "bad.pt"), "engine_failed")):
        with pytest.raises(EngineError) as error:
            OpenAIWhisper(EngineOptions(model=model), weights)
        assert error.value.code == code


def test_identities_need_no_package(tmp_path: Path) -> None:
    (tmp_path / "a.pt").write_bytes(b"a")
    assert OpenAIWhisper.digests(EngineOptions(model="turbo"))["large-v3-turbo.pt"].startswith("aff26ae4")
    assert len(OpenAIWhisper.digests(EngineOptions(model=str(tmp_path)))["given"]) == 64
    assert FasterWhisper.digests(EngineOptions()) == {}
    assert FasterWhisper.weights(EngineOptions(model=str(tmp_path))) == ()
    assert len(FasterWhisper.digests(EngineOptions(model=str(tmp_path)))["given"]) == 64


def test_precision_that_it_cannot_do(tiny: Path, weights: Any) -> None:
    with pytest.raises(EngineError) as error:
        OpenAIWhisper(EngineOptions(model=str(tiny), extra={"dtype": "bfloat16"}), weights)
    assert error.value.code == "bad_dtype"


def test_a_missing_package_is_said(monkeypatch: pytest.MonkeyPatch, weights: Any) -> None:
    imported = builtins.__import__

    def without(name: str, *rest: Any, **more: Any) -> Any:
        if name in ("torch", "whisper"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        return imported(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(EngineError) as error:
        OpenAIWhisper(EngineOptions(), weights)
    assert error.value.code == "engine_missing"


def test_matrices_are_kept_in_the_precision_they_are_used_in(tiny: Path) -> None:
    """The package loads float32 and casts at each use: on a card that is twice the memory for the same answer."""
    whisper = pytest.importorskip("whisper")
    import torch

    usual, halved = (whisper.load_model(str(tiny), device="cpu") for _ in range(2))
    halve(torch, halved)
    sizes = {name: parameter.dtype for name, parameter in halved.named_parameters()}
    assert all(dtype == torch.float32 for name, dtype in sizes.items() if "_ln" in name or "ln_" in name)
    assert sum(dtype == torch.float16 for dtype in sizes.values()) > sum(
        dtype == torch.float32 for dtype in sizes.values()
    )
    mel = torch.randn(1, 80, 3000, generator=torch.Generator().manual_seed(0)).half()
    tokens = torch.tensor([[50258, 50259, 50359, 11, 12]])
    with torch.inference_mode():
        assert torch.equal(usual.encoder(mel), halved.encoder(mel))
        one, other = usual(mel, tokens), halved(mel, tokens)
    assert torch.allclose(one, other, atol=0.02)


@pytest.mark.gpu
def test_on_a_graphics_card(checkpoint: Path, weights: Any, speech: np.ndarray) -> None:
    card = OpenAIWhisper(EngineOptions(model=str(checkpoint), device="cuda"), weights)
    assert "fellow americans" in words(card.transcribe(speech, "en"))
