"""Importing coqui-tts beside this project, which has a package of the same name as one of Coqui's.

Both the library's training code and this project's are called ``trainer``, and every module of the library imports
its own. Inside :func:`library` the name means Coqui's; outside, this project's, even in one process.
"""

from __future__ import annotations

import importlib.util
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from types import ModuleType

from shared.core.errors import EngineError

NAME = "trainer"
_lock = threading.RLock()
_coqui_modules: dict[str, ModuleType] = {}


@contextmanager
def library() -> Iterator[None]:
    """Around imports of ``TTS`` and whatever makes it import more of itself (reading configurations, loading).

    Raises:
        EngineError: ``engine_missing``, ``engine_conflict`` when one package overwrote the other.
    """
    with _lock:
        before = pop_trainer_modules()
        # Inside another call of this function the name means Coqui's already.
        inside = bool(before) and before.get(NAME) is _coqui_modules.get(NAME)
        try:
            sys.modules.update(before if inside else _coqui_modules)
            if NAME not in sys.modules:
                import_coqui_trainer()
            yield
        finally:
            _coqui_modules.update(pop_trainer_modules())
            sys.modules.update(_coqui_modules if inside else before)


def pop_trainer_modules() -> dict[str, ModuleType]:
    """Modules of either ``trainer``, no longer importable by name."""
    names = [name for name in sys.modules if name == NAME or name.startswith(f"{NAME}.")]
    return {name: sys.modules.pop(name) for name in names}


def import_coqui_trainer() -> None:
    try:
        package_file = Path(str(distribution("coqui-tts-trainer").locate_file(f"{NAME}/__init__.py")))
    except PackageNotFoundError as error:
        raise EngineError(
            "This engine needs the package “coqui-tts”, which is not installed.",
            code="engine_missing",
            package="coqui-tts",
        ) from error
    if not (package_file.parent / "trainer.py").is_file() or "TrainerConfig" not in package_file.read_text(
        encoding="utf-8"
    ):
        raise EngineError(
            "The packages counterdub and coqui-tts-trainer both hold a folder “trainer” and lie in the same place, so "
            "one overwrote the other. Install coqui-tts into a folder of its own (pip install --target) that is on "
            "PYTHONPATH.",
            code="engine_conflict",
            package="coqui-tts",
        )
    spec = importlib.util.spec_from_file_location(
        NAME, package_file, submodule_search_locations=[str(package_file.parent)]
    )
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[NAME] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        pop_trainer_modules()
        raise
