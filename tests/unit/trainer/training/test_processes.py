"""Two processes that train as one: the same weights in both, nobody waits for one that ended."""

from __future__ import annotations

import os
import signal
import socket
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.multiprocessing.spawn import spawn

from shared.core.errors import CounterdubError
from tests.unit.trainer.training.curve import curve
from tests.unit.trainer.training.feeds import SmallFeed, small, small_feed
from trainer.training import checkpoints
from trainer.training.loop import train

FAULTS: dict[str, dict[int, dict[str, int]]] = {
    "none": {},
    "uneven": {0: {"held_out_batches": 1}, 1: {"held_out_batches": 3}},
    "one ends": {1: {"ends": 4}},
    "one is no number": {1: {"nan": 4}},
    "one is stopped": {},
}


def one(rank: int, port: int, folder: str, case: str, options: tuple[str, ...]) -> None:
    """What torchrun would start."""
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "RANK": str(rank)}
    os.environ |= {"WORLD_SIZE": "2", "LOCAL_RANK": str(rank)}
    torch.set_num_threads(1)

    def feed(data: str, recipe: Any, rank: int, world: int) -> SmallFeed:
        return SmallFeed(recipe, rank, world, **FAULTS[case].get(rank, {}))

    class Stopping(SmallFeed):
        def batch(self, shots: Any, turn: int) -> Any:
            if turn == 4:
                os.kill(os.getpid(), signal.SIGTERM)
            return super().batch(shots, turn)

    def stopping(data: str, recipe: Any, rank: int, world: int) -> SmallFeed:
        return (Stopping if rank == 1 else SmallFeed)(recipe, rank, world)

    recipe = small("tiny-efj", *options)
    try:
        train(recipe, "", Path(folder), make_feed=stopping if case == "one is stopped" else feed)
    except CounterdubError as error:
        Path(folder, f"error-{rank}").write_text(error.code)


def two(folder: Path, case: str = "none", *options: str) -> dict[int, str]:
    """Errors by rank of two processes that trained in a folder; they have ten minutes."""
    folder.mkdir(exist_ok=True)
    for path in folder.glob("error-*"):
        path.unlink()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    context = spawn(one, (port, str(folder), case, options), nprocs=2, join=False)
    assert context is not None
    try:
        end = time.monotonic() + 600
        while not context.join(timeout=5):  # also when one of them has ended
            assert time.monotonic() < end, "the processes wait for one another"
    finally:
        for process in context.processes:
            process.kill()
    return {rank: path.read_text() for rank in (0, 1) if (path := folder / f"error-{rank}").exists()}


@pytest.mark.slow
def test_two_processes_learn_what_one_does(tmp_path: Path) -> None:
    masks = ("audio.time_mask=0", "audio.frequency_mask=0", "optimiser.steps=6")  # each process draws its own
    assert two(tmp_path / "two", "none", *masks, "data.batch_size=4") == {}
    alone = train(small("tiny-efj", *masks, "data.batch_size=8"), "", tmp_path / "one", make_feed=small_feed)
    together = checkpoints.load(tmp_path / "two" / "checkpoints" / alone.checkpoint.name)["model"]
    by_itself = checkpoints.load(alone.checkpoint)["model"]
    assert all(torch.allclose(together[key], by_itself[key], atol=2e-4) for key in by_itself)
    losses = [[line["loss"] for line in curve(tmp_path / name) if "loss" in line] for name in ("two", "one")]
    assert losses[0] == pytest.approx(losses[1], rel=1e-3)


@pytest.mark.slow
def test_it_goes_on_bit_for_bit_on_two(tmp_path: Path) -> None:
    assert two(tmp_path / "whole", "none") == {}
    assert two(tmp_path / "halved", "one is stopped") == {0: "cancelled", 1: "cancelled"}
    assert two(tmp_path / "halved", "none") == {}
    assert curve(tmp_path / "halved") == curve(tmp_path / "whole")


@pytest.mark.slow
def test_uneven_processes_do_not_hang(tmp_path: Path) -> None:
    assert two(tmp_path / "uneven", "uneven") == {}
    measured = [line for line in curve(tmp_path / "uneven") if "held_out" in line]
    assert measured and all(line["held_out"] == 6 for line in measured)
    assert two(tmp_path / "ends", "one ends") == {0: "feed_ended", 1: "feed_ended"}
    assert two(tmp_path / "nan", "one is no number") == {0: "loss_not_finite", 1: "loss_not_finite"}
    assert (tmp_path / "nan" / "nan-batch-1.pt").exists()


@pytest.mark.slow
def test_parts_of_a_batch_on_two_processes(tmp_path: Path) -> None:
    assert two(tmp_path / "parts", "none", "objective.chunk=2", "optimiser.steps=4") == {}
    assert two(tmp_path / "whole", "none", "optimiser.steps=4") == {}
    losses = [[line["loss"] for line in curve(tmp_path / name) if "loss" in line] for name in ("parts", "whole")]
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)


@pytest.mark.slow
def test_another_number_of_processes_is_refused(tmp_path: Path) -> None:
    assert two(tmp_path / "run", "none", "optimiser.steps=4") == {}
    with pytest.raises(CounterdubError) as caught:
        train(small("tiny-efj", "optimiser.steps=4"), "", tmp_path / "run", make_feed=small_feed)
    assert caught.value.code == "other_processes"
