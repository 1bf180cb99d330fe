"""Models that an engine's library knows by names of its own, their files in a folder of the engine among the models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from shared.core.errors import EngineError
from shared.weights.folder import default_folder
from shared.weights.given import is_place

FilesT = TypeVar("FilesT")


@dataclass(frozen=True)
class ReleasedModels(Generic[FilesT]):
    """The models of one engine."""

    engine: str
    """As its library calls itself."""
    folder_name: str
    files: Mapping[str, FilesT]
    """What is known of each model's files, by the model's name."""
    given: str
    """What may be given in place of a name: “the path of a folder”."""

    def folder(self) -> Path:
        """Where the files are looked for."""
        return default_folder() / self.folder_name

    def find(self, model: str) -> FilesT:
        """What is known of a model's files.

        Raises:
            EngineError: ``unknown_model``.
        """
        if model not in self.files:
            raise EngineError(
                f"{self.engine} has no model “{model}” here (known: {', '.join(self.files)}, or {self.given}).",
                code="unknown_model",
            )
        return self.files[model]

    def absent(self, model: str, names: Sequence[str]) -> tuple[str, ...]:
        """What of a model, or of a place given instead, is not here, in words. ``names``: the model's files."""
        if is_place(model):
            return () if Path(model).expanduser().exists() else (f"the model “{Path(model).name}”",)
        lacking = [name for name in names if not (self.folder() / name).is_file()]
        return (f"{', '.join(lacking)} in the folder “{self.folder_name}” of the models",) if lacking else ()

    def missing(self, model: str, names: Sequence[str]) -> EngineError:
        """``weights_missing``, saying where the files belong."""
        return EngineError(
            f"The weights of {self.engine} {model} are not on this machine. Put {', '.join(names)} into the folder "
            f"“{self.folder_name}” of the models, give {self.given} as the model, or set allow_download.",
            code="weights_missing",
            model=model,
        )
