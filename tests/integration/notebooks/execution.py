"""Execution of the notebooks of ``docs/notebooks``; as a program it renews the outputs kept there."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import nbformat
from jupyter_client.kernelspec import KernelSpecManager
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient

from tests.conftest import ROOT

NOTEBOOKS = ROOT / "docs" / "notebooks"


def execute(notebook: nbformat.NotebookNode, folder: Path, seconds: int = 1800) -> None:
    """Run all cells in a kernel of this Python, which starts in ``folder``; outputs are put into the notebook.

    Whatever the cells or Jupyter itself write for the time being goes below ``folder``.

    Args:
        seconds: That one cell may take.

    Raises:
        nbclient.exceptions.CellExecutionError: At the first cell that fails.
    """
    places = {"TMPDIR": "tmp", "IPYTHONDIR": "ipython", "JUPYTER_RUNTIME_DIR": "runtime", "JUPYTER_DATA_DIR": "data"}
    for place in places.values():
        (folder / place).mkdir()
    manager = AsyncKernelManager(
        kernel_name="python3",
        connection_file=str(folder / "runtime" / "kernel.json"),
        # This Python's own kernel, not one that somebody registered under its name.
        kernel_spec_manager=KernelSpecManager(kernel_dirs=[]),
    )
    client = NotebookClient(
        notebook,
        km=manager,
        timeout=seconds,
        record_timing=False,
        resources={"metadata": {"path": str(folder)}},
    )
    environment = os.environ | {name: str(folder / place) for name, place in places.items()}
    client.execute(env=environment, cleanup_kc=True)


def main() -> None:
    for path in sorted(NOTEBOOKS.glob("*.ipynb")):
        notebook = nbformat.read(path, as_version=4)
        with tempfile.TemporaryDirectory() as folder:
            execute(notebook, Path(folder))
        nbformat.write(notebook, path)


if __name__ == "__main__":
    main()
