"""What the dubbing engines on torch share: a model kept while it is used, and where its files are."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Generic, TypeVar

from shared.core.errors import EngineError
from shared.engines.accelerator import release, within_memory
from shared.engines.protocols import EngineOptions, WeightFiles, missing
from shared.observability.internal_errors import summary
from shared.weights.hub_trust import pulled_folder
from shared.weights.local import located, may_download, revision

ModelT = TypeVar("ModelT")


class Resident(Generic[ModelT]):
    """A model that is loaded when it is first needed, and again after it was given back."""

    def __init__(self, load: Callable[[], ModelT]) -> None:
        self._load = load
        self._model: ModelT | None = None
        self._lock = threading.Lock()

    @property
    def loaded(self) -> bool:
        return self._model is not None

    def __call__(self) -> ModelT:
        with self._lock:
            if self._model is None:
                self._model = self._load()
            return self._model

    def release(self) -> None:
        """Give the memory back; the next call loads anew."""
        with self._lock:
            self._model = None
        release()


@contextmanager
def needing(kind: str, name: str) -> Iterator[None]:
    """Around a library's import.

    Raises:
        EngineError: ``engine_missing``, naming the package.
    """
    try:
        yield
    except ImportError as error:
        if error.name is None:
            # Coqui says in words, not by name, that torchaudio or torchcodec is absent.
            raise EngineError(
                f"The {kind} engine “{name}” cannot start: {summary(error)}", code="engine_missing", package="coqui-tts"
            ) from error
        raise missing(kind, name, error) from error
    except OSError as error:
        # A compiled part for another machine: torchaudio's of a CUDA build beside torch for the CPU.
        raise EngineError(
            f"The {kind} engine “{name}” cannot start: {summary(error)}", code="engine_missing", package="torchaudio"
        ) from error


@contextmanager
def loading(name: str) -> Iterator[None]:
    """Around the reading of a model's files.

    Raises:
        EngineError: ``engine_load_failed`` for whatever the library throws at files that do not fit, ``out_of_memory``.
    """
    try:
        with within_memory():
            yield
    except (EngineError, ImportError):
        raise
    except Exception as error:
        raise EngineError(
            f"The files of “{name}” cannot be loaded: {summary(error)}",
            code="engine_load_failed",
        ) from error


def model_folder(options: EngineOptions, weights: WeightFiles, default: str = "", engine: str = "") -> Path:
    """Folder of the model's files: a registry entry, a path of the operator's, or a hub's repository.

    Raises:
        EngineError: ``weights_missing``.
    """
    if not (options.model or default):
        raise EngineError(
            f"The engine “{engine}” needs the folder of a model: give its path as the model setting.",
            code="weights_missing",
        )
    source = located(options, weights, default)
    if isinstance(source, Path):
        return source if source.is_dir() else source.parent
    return hub_folder(source, options)


def hub_folder(repository: str, options: EngineOptions) -> Path:
    """A hub's repository among the models, else in the hub library's cache.

    It is fetched only where ``extra["allow_download"]`` is true.

    Raises:
        EngineError: ``weights_missing``, ``weights_damaged``, ``engine_missing``.
    """
    if (folder := pulled_folder(repository, revision(options))) is not None:
        return folder
    try:
        from huggingface_hub import snapshot_download
    except ImportError as error:
        raise EngineError(
            f"“{repository}” is on a model hub, and the package “huggingface_hub” is not installed.",
            code="engine_missing",
            package="huggingface_hub",
        ) from error
    try:
        local = not may_download(options)
        return Path(snapshot_download(repository, revision=revision(options), local_files_only=local))
    except (OSError, ValueError) as error:
        raise EngineError(
            f"The model “{repository}” is not on this machine. Run `counterdub models pull {repository}`, give a "
            "folder as the model, or let it be fetched with allow_download.",
            code="weights_missing",
            model=repository,
        ) from error


def one_file(folder: Path, *patterns: str) -> Path:
    """The first file that fits the patterns, tried in order.

    Raises:
        EngineError: ``weights_missing``, naming what is looked for.
    """
    for pattern in patterns:
        if matches := sorted(path for path in folder.glob(pattern) if path.is_file()):
            return matches[0]
    raise EngineError(
        f"“{folder.name}” holds no file named {' or '.join(patterns)}.", code="weights_missing", model=folder.name
    )


def use_threads(torch: Any, options: EngineOptions) -> None:
    if not options.device.startswith("cuda"):
        torch.set_num_threads(max(1, options.threads))
