"""Worker processes that make batches ahead, in order."""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections.abc import Generator, Iterator
from multiprocessing.connection import wait
from multiprocessing.context import BaseContext

import soxr  # noqa: F401 - here, so that forked workers find it loaded
from torch.utils.data import DataLoader

from shared.core.errors import CounterdubError, InputError
from trainer.data.batches import Batches, BatchPlan, MadeBatch
from trainer.recipe import DataSettings


def made_ahead(batches: Batches, plans: Iterator[BatchPlan], settings: DataSettings, pin: bool) -> Generator[MadeBatch]:
    """Batches of the plans in their order, made by worker processes.

    Raises:
        CounterdubError: ``loader_died`` when a worker is killed; what a worker raised, such as ``shots_unreadable``.
    """
    if settings.workers == 0:
        yield from map(checked, map(batches.__getitem__, plans))
        return
    loader: DataLoader[MadeBatch] = DataLoader(
        batches,
        batch_size=None,
        sampler=plans,
        num_workers=settings.workers,
        prefetch_factor=settings.prefetch,
        pin_memory=pin,
        multiprocessing_context=context(),
        worker_init_fn=begin_worker,
    )
    made = iter(loader)
    try:
        yield from map(checked, made)
    except (RuntimeError, ConnectionError, EOFError, FileNotFoundError) as error:
        # A worker that dies while it hands a batch over shows as a broken connection; its own errors say “Caught …”.
        if str(error).startswith("Caught") or (type(error) is RuntimeError and "DataLoader worker" not in str(error)):
            raise
        raise CounterdubError(
            "A process that decodes the shards was killed: there may be too little memory. Lower data.workers or "
            "data.prefetch, then run the same command again.",
            code="loader_died",
            retryable=True,
        ) from error


def checked(made: MadeBatch) -> MadeBatch:
    """Raise what a worker could only tell of: errors with more than a message do not travel between processes."""
    if made.error:
        raise InputError(made.error["message"], code=made.error["code"], **made.error["details"])
    return made


def context() -> BaseContext:
    """How workers begin: never as forks of the training itself, which has threads and perhaps a CUDA context."""
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    server = multiprocessing.get_context("forkserver")
    # The server loads torch once for all workers.
    server.set_forkserver_preload(["trainer.data.batches"])
    return server


def begin_worker(_number: int) -> None:
    """Signals to the whole group are the training's to handle; workers end when it stops them, or dies."""
    os.setpgrp()
    threading.Thread(target=die_with_the_training, daemon=True).start()


def die_with_the_training() -> None:
    """End when the training does: its pipe closes even if it is killed.

    Torch watches the parent process, which here is the server of forks.
    """
    training = multiprocessing.parent_process()
    if training is not None:
        wait([training.sentinel])
        os._exit(1)
