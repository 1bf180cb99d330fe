"""``counterdub engines --check``: load each engine that the settings name, let it work for a second, and measure.

Every engine has a process of its own, so that memory is its own and a crash or a kill by the system is a row of the
table and not the end of it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from shared.core.errors import CounterdubError, EngineError
from shared.engines.protocols import EngineOptions, Line, SpeechRequest, engine_class
from shared.engines.requirements import device_of
from shared.observability.internal_errors import summary
from shared.pipeline.stage import EngineUse, Scope, stage, stage_names
from shared.settings.models import Settings

TIMEOUT_SECONDS = 900
CHARACTERS_PER_SECOND = 15.0
"""Of speech: what a line of text is worth in seconds."""
SPEECH_RATE, MASTER_RATE = 16_000, 48_000
SENTENCE = "The weather is nice today and we will go to the sea."

Task = Callable[[], float]
"""Does a piece of work and returns how many seconds of title it was."""


@dataclass(frozen=True)
class CheckRow:
    """What one engine showed. Figures are None where it did not come so far."""

    kind: str
    engine: str
    model: str
    device: str
    dtype: str | None = None
    load_seconds: float | None = None
    memory_bytes: int | None = None
    """Peak of torch on a graphics card; of others there what the card's use grew by; else what the process grew by."""
    speed: float | None = None
    """Seconds of title done in a second, once warm; None when there is no such measure for this kind."""
    error: str | None = None
    """Code of what went wrong."""
    message: str | None = None

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def configured(settings: Settings, languages: Sequence[str] = ("es",)) -> list[EngineUse]:
    """Every engine that a run with these settings into these languages would load, once each."""
    engine_uses: list[EngineUse] = []
    for name in stage_names():
        try:
            engines_of = stage(name).engines
        except ImportError:
            continue  # a stage of a service whose packages are not here
        for scope in (Scope(), *(Scope(language=language) for language in languages)):
            try:
                uses = engines_of(settings, scope)
            except (CounterdubError, AttributeError, KeyError, TypeError):
                continue  # a stage that works on one language only
            engine_uses += [use for use in uses.values() if use not in engine_uses]
    return engine_uses


def check_engines(settings: Settings, languages: Sequence[str] = ("es",)) -> Iterator[CheckRow]:
    """A row for every configured engine, each as soon as it is known."""
    for use in configured(settings, languages):
        yield apart(use, languages[0])


def apart(use: EngineUse, language: str) -> CheckRow:
    """:func:`measure` in a process of its own."""
    options = asdict(use.options) | {"extra": dict(use.options.extra)}
    request = json.dumps({"kind": use.kind, "name": use.name, "options": options, "language": language})
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "row.json"  # a file, for libraries print what they like
        try:
            done = subprocess.run(
                [sys.executable, "-m", "shared.pipeline.engine_check", str(out)],
                input=request,
                text=True,
                capture_output=True,
                timeout=TIMEOUT_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return failed(use, "engine_check_timeout", f"Not done after {TIMEOUT_SECONDS} s.")
        try:
            return CheckRow(**json.loads(out.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            return failed(use, "engine_crashed", f"Its process ended with code {done.returncode}.")


def failed(use: EngineUse, code: str, message: str, **known: Any) -> CheckRow:
    return CheckRow(use.kind, use.name, use.options.model, use.options.device, error=code, message=message, **known)


def measure(use: EngineUse, language: str, weights: Any = None) -> CheckRow:
    """Load an engine here, let it work twice, and measure the second time.

    Args:
        language: Target language, for what speaks or translates.
        weights: Where weight files are; the folder of this machine when absent.
    """
    if weights is None:
        from shared.weights import WeightFolder

        weights = WeightFolder()
    began, loaded = time.perf_counter(), None
    try:
        before = memory_now(use)
        engine = engine_class(use.kind, use.name)(use.options, weights)
        loaded = time.perf_counter() - began
        task = WORK[use.kind](engine, language)
        if task is None:
            return row(use, engine, loaded, before, None)
        task()
        began = time.perf_counter()
        seconds = task()
        return row(use, engine, loaded, before, seconds / max(time.perf_counter() - began, 1e-6))
    except CounterdubError as error:
        return failed(use, error.code, error.message, load_seconds=loaded)
    except ImportError as error:
        return failed(use, "engine_missing", f"The package “{error.name}” is not installed.", load_seconds=loaded)
    except Exception as error:  # whatever a library throws is a row, too
        code = "engine_load_failed" if loaded is None else "engine_failed"
        return failed(use, code, f"{type(error).__name__}: {summary(error)}", load_seconds=loaded)


def row(use: EngineUse, engine: Any, loaded: float, before: int | None, speed: float | None) -> CheckRow:
    on_card = torch_memory() if on_a_card(use) else 0
    now = memory_now(use)
    grown = None if before is None or now is None else max(0, now - before)
    return CheckRow(
        kind=use.kind,
        engine=use.name,
        model=use.options.model,
        device=use.options.device,
        dtype=dtype_of(engine),
        load_seconds=loaded,
        memory_bytes=on_card or grown,
        speed=speed,
    )


def tone(seconds: float, rate: int, channels: int = 0) -> np.ndarray:
    """A buzz that swells three times a second over some noise: enough like a voice to keep an engine busy."""
    times = np.arange(round(seconds * rate)) / rate
    buzz = sum(np.sin(2 * np.pi * 140 * k * times) / k for k in range(1, 12))
    sound = 0.1 * buzz * (0.5 + 0.5 * np.sin(2 * np.pi * 3 * times))
    sound = (sound + 0.002 * np.random.default_rng(0).standard_normal(len(times))).astype(np.float32)
    return np.tile(sound, (channels, 1)) if channels else sound


def hearing(method: str, rate: int, channels: int, engine: Any, language: str) -> Task:
    sound, more = tone(1.0, rate, channels), ("en",) if method == "transcribe" else ()

    def task() -> float:
        getattr(engine, method)(sound, *more)
        return 1.0

    return task


def translating(engine: Any, language: str) -> Task:
    def task() -> float:
        engine.translate([Line(SENTENCE)], "en", language, 1)
        return len(SENTENCE) / CHARACTERS_PER_SECOND

    return task


def speaking(engine: Any, language: str) -> Task:
    voices = engine.voices(language)
    if not voices:
        raise EngineError(f"It has no voice for the language “{language}”.", code="unsupported_language")
    reference = tone(3.0, SPEECH_RATE)

    def task() -> float:
        audio = engine.synthesize(SpeechRequest(SENTENCE, language, voices[0].id, reference=reference))
        return len(audio) / float(engine.sample_rate)

    return task


def converting(engine: Any, language: str) -> Task:
    speech, reference = tone(1.0, engine.sample_rate), tone(3.0, engine.sample_rate)

    def task() -> float:
        engine.convert(speech, reference)
        return 1.0

    return task


WORK: Mapping[str, Callable[[Any, str], Task | None]] = {
    "shot_detector": lambda engine, language: None,  # works on a file in a process of its own
    "voice_detector": partial(hearing, "speech", SPEECH_RATE, 0),
    "separator": partial(hearing, "vocals", MASTER_RATE, 2),
    "recognizer": partial(hearing, "transcribe", SPEECH_RATE, 0),
    "embedder": partial(hearing, "embed", SPEECH_RATE, 0),
    "translator": translating,
    "synthesizer": speaking,
    "voice_converter": converting,
}


def dtype_of(engine: Any) -> str | None:
    """What an engine computes in, where it says so: its ``dtype``, or ``_dtype`` of torch."""
    dtype = getattr(engine, "dtype", None) or getattr(engine, "_dtype", None)
    return None if dtype is None else str(dtype).removeprefix("torch.")


def resident() -> int:
    """Bytes of this process in memory now."""
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, AttributeError):
        import resource

        scale = 1 if sys.platform == "darwin" else 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * scale


def on_a_card(use: EngineUse) -> bool:
    return device_of(engine_class(use.kind, use.name), use.options).startswith("cuda")


def memory_now(use: EngineUse) -> int | None:
    """Bytes in use where the engine computes: of this process, or of the whole card where its driver says it."""
    return card_bytes(use.options.device) if on_a_card(use) else resident()


def card_bytes(device: str) -> int | None:
    """Bytes of a graphics card that are in use, whoever holds them: the driver's own program says so."""
    index = device.partition(":")[2] or "0"
    asked = ["nvidia-smi", f"--id={index}", "--query-gpu=memory.used", "--format=csv,noheader,nounits"]
    try:
        said = subprocess.run(asked, capture_output=True, text=True, check=True, timeout=30).stdout
        return int(said.split()[0]) * 2**20
    except (OSError, subprocess.SubprocessError, ValueError, IndexError):
        return None


def torch_memory() -> int:
    """Peak bytes that torch took on the graphics card; 0 when torch is not what computes there."""
    torch = sys.modules.get("torch")
    return int(torch.cuda.max_memory_allocated()) if torch is not None and torch.cuda.is_available() else 0


def main(out: Path) -> None:
    request = json.loads(sys.stdin.read())
    use = EngineUse(request["kind"], request["name"], EngineOptions(**request["options"]))
    out.write_text(json.dumps(measure(use, request["language"]).to_dict()), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
