"""The training: batches in, steps, metrics, measurements, checkpoints; from the start or from where it stopped."""

from __future__ import annotations

import contextlib
import math
import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch

from shared.core.errors import Cancelled, EngineError, InputError, StorageError
from shared.core.stop_signals import stop_signals
from shared.core.storage_errors import storage_errors
from shared.engines.protocols import engine_class
from trainer.feed import Batch, Feed, MakeFeed
from trainer.model import prepared, tensors
from trainer.recipe import Recipe
from trainer.training import checkpoints
from trainer.training.folder import RunFolder, locked
from trainer.training.initial_weights import start_from
from trainer.training.metrics import Metrics, read_metrics
from trainer.training.optimiser import rate_at, steps_of, trained
from trainer.training.processes import joined
from trainer.training.retrieval import measure
from trainer.training.speed import Speed, arithmetic
from trainer.training.state import TrainingState
from trainer.training.step import Learner

Listener = Callable[[int, int, Mapping[str, Any]], None]
"""Called after every step with the steps done, all steps, and the step's line of metrics if there is one, else {}."""


class TrainingSummary(NamedTuple):
    """What a training came to."""

    recipe: str
    step: int
    checkpoint: Path
    curves: Path
    retrieval: dict[str, float]
    """The last measurement."""

    def to_dict(self) -> dict[str, Any]:
        return {**self._asdict(), "checkpoint": str(self.checkpoint), "curves": str(self.curves)}


def train(
    recipe: Recipe,
    data: str,
    out: Path,
    *,
    fresh: bool = False,
    listener: Listener = lambda step, steps, line: None,
    make_feed: MakeFeed | None = None,
) -> TrainingSummary:
    """Train by a recipe into a folder; going on there if a training of it stopped.

    Args:
        recipe: What and how.
        data: Where the feed finds its shots: a folder of shards.
        out: The run's folder (:mod:`trainer.training.folder`).
        fresh: Start over, removing what an earlier run left in the folder.
        listener: Hears of each step; in the first process only.
        make_feed: Instead of the recipe's ``data.feed``.

    Raises:
        Cancelled: SIGTERM or SIGINT came; the step that ran is done and saved.
        CounterdubError: With a code of docs/errors.md, section Training.
    """
    make = make_feed or engine_class("feed", recipe.data.feed)
    with contextlib.ExitStack() as stack:
        stack.enter_context(arithmetic(recipe.running.threads))
        event = stack.enter_context(stop_signals(threading.Event(), signal.SIGTERM, signal.SIGINT))
        processes = stack.enter_context(joined(recipe.running.device))
        folder = stack.enter_context(locked(out)) if processes.first else RunFolder(out)
        feed = stack.enter_context(contextlib.closing(make(data, recipe, processes.rank, processes.world)))
        run = Run(TrainingState(recipe, feed, processes), folder, listener)
        if processes.first:
            folder.begin(recipe, fresh)
        processes.any(False)  # nobody reads the folder before the first has emptied it
        try:
            return run.whole(event)
        except BaseException as error:
            with contextlib.suppress(StorageError):  # the first error is the one to tell
                run.end("stopped" if isinstance(error, Cancelled | KeyboardInterrupt) else "failed", error)
            if isinstance(error, torch.OutOfMemoryError):
                raise EngineError(
                    "The device has too little memory for a batch. Lower data.batch_size, or let it be encoded in "
                    "parts with objective.chunk.",
                    code="out_of_memory",
                ) from error
            raise


class Run:
    """One training in its folder."""

    def __init__(self, training: TrainingState, folder: RunFolder, listener: Listener) -> None:
        self.training, self.folder, self.listener = training, folder, listener
        self.processes = training.processes
        self.feed: Feed = training.feed
        self.steps, self.warmup = steps_of(training.recipe.optimiser, training.feed.steps_per_epoch)
        self.saved = -1
        """Step of the newest checkpoint."""

    def whole(self, event: threading.Event) -> TrainingSummary:
        self.begin()
        training, settings = self.training, self.training.recipe.running
        learner = Learner(training.model, training.objective, training.recipe, self.processes)
        every = settings.validate_every or self.feed.steps_per_epoch
        with self.metrics() as metrics:
            if training.step == 0:
                self.validate(learner, metrics)
            for facts in self.learn(learner, event):
                last = training.step == self.steps
                self.say(metrics, facts if training.step % settings.log_every == 0 or last else {})
                if training.step % every == 0 or last:
                    self.validate(learner, metrics)
                if training.step % settings.checkpoint_every == 0 or last:
                    self.save()
        self.end("done")
        return self.summary()

    def begin(self) -> None:
        """Weights, and all else, from the folder's newest checkpoint or from ``model.initial``, if there are any."""
        training = self.training
        state = checkpoints.newest(self.folder.checkpoints)
        if state is not None:
            training.restore(state)
            self.saved = training.step
        elif training.recipe.model.initial:
            start_from(training.model, training.recipe.model.initial)
            if training.average is not None:
                training.average.module.load_state_dict(training.model.state_dict())
        if self.processes.first:
            self.folder.say("running", training.step, self.steps)

    @contextlib.contextmanager
    def metrics(self) -> Iterator[Metrics | None]:
        if not self.processes.first:
            yield None
            return
        with Metrics(self.folder.metrics, self.folder.events, self.training.step) as metrics:
            yield metrics

    def learn(self, learner: Learner, event: threading.Event) -> Iterator[dict[str, Any]]:
        """Step after step; each gives its line.

        Raises:
            Cancelled: after saving, when any process was asked to stop.
            InputError: ``feed_ended``: a feed that should never end did.
            EngineError: ``loss_not_finite``: the batch is in nan-batch.pt.
        """
        training, settings = self.training, self.training.recipe.optimiser
        batches = iter(self.feed)
        speed = Speed(event)
        while training.step < self.steps:
            before = self.feed.state_dict()
            batch = speed.waiting(batches) if not event.is_set() else None
            if self.processes.any(batch is None) or batch is None:  # or the others would wait for this process
                if not self.processes.any(event.is_set()):
                    raise InputError("The data came to an end in a process.", code="feed_ended", retryable=True)
                self.save(before)
                raise Cancelled(f"The training stopped at step {training.step}. The same command goes on from there.")
            rate = rate_at(training.step, self.steps, self.warmup, settings)
            for group in training.optimiser.param_groups:
                group["lr"] = rate
            training.optimiser.zero_grad(set_to_none=True)
            losses = learner(prepared(batch, training.front, self.processes.device, training.masks))
            parameters = list(trained(training.model, training.objective))
            norm = torch.nn.utils.clip_grad_norm_(parameters, settings.clip or math.inf)
            facts = [float(losses.total), float(norm), *map(float, losses.by_term.values())]
            if not all(map(math.isfinite, facts)):
                raise self.not_finite(batch, facts)
            training.optimiser.step()
            if training.average is not None:
                training.average.update_parameters(training.model)
            training.step += 1
            speed.count(len(batch["shot"]))
            yield {
                "loss": facts[0],
                **dict(zip((f"loss/{name}" for name in losses.by_term), facts[2:], strict=True)),
                "gradient_norm": facts[1],
                "rate": rate,
                "speed": speed,
            }

    def not_finite(self, batch: Batch, facts: list[float]) -> EngineError:
        """Keep the batch that did it."""
        path = self.folder.root / ("nan-batch.pt" if self.processes.first else f"nan-batch-{self.processes.rank}.pt")
        state = {"batch": dict(tensors(batch)), "step": self.training.step, "loss": facts[0], "gradient_norm": facts[1]}
        checkpoints.replace(path, lambda file: torch.save(state, file))
        return EngineError(
            f"At step {self.training.step} the loss or its gradient is no number ({facts[0]}, {facts[1]}). The batch "
            f"is in {path.name}. Lower optimiser.rate, or train in fp32 (running.precision).",
            code="loss_not_finite",
            step=self.training.step,
        )

    def say(self, metrics: Metrics | None, figures: dict[str, Any]) -> None:
        """Complete a line, write it, tell the listener. Losses are the processes' mean."""
        line: dict[str, Any] = {}
        if figures:
            speed = figures.pop("speed")
            names = [name for name in figures if name.startswith("loss")]
            figures |= dict(zip(names, self.processes.mean([figures[name] for name in names]), strict=True))
            line = {
                "step": self.training.step,
                "epoch": round(self.training.step / self.feed.steps_per_epoch, 4),
                **figures,
                "temperature": float(self.training.objective.temperature),
                **speed.taken(self.processes.world),
                "skipped": dict(self.feed.counts),
            }
            if metrics is not None:
                metrics.add(line)
        if self.processes.first:
            self.listener(self.training.step, self.steps, line)

    def validate(self, learner: Learner, metrics: Metrics | None) -> None:
        training = self.training
        figures = measure(
            training.measured,
            self.feed.held_out(),
            self.feed.tracks,
            training.front,
            self.processes,
            learner.autocast,
            training.recipe.running.validate_shots,
        )
        if metrics is not None:
            if figures:
                metrics.add({"step": training.step, **figures})
                self.listener(training.step, self.steps, {"step": training.step, **figures})
            self.folder.say("running", training.step, self.steps)
            self.draw()

    def save(self, feed: Mapping[str, Any] | None = None) -> None:
        """Write a checkpoint, if this step has none: with the feed as it is, or as it was before an unused batch."""
        if self.saved == self.training.step:
            return
        state = self.training.state(feed or self.feed.state_dict())
        if self.processes.first:
            checkpoints.save(self.folder.checkpoints, state, self.training.recipe.running.keep)
        self.saved = self.training.step

    def draw(self) -> None:
        from trainer.curves import draw_page

        page = draw_page(self.training.recipe, list(read_metrics(self.folder.metrics)), self.steps)
        with storage_errors("the page of curves"):
            self.folder.write(self.folder.curves, page)

    def end(self, state: str, error: BaseException | None = None) -> None:
        if self.processes.first:
            self.draw()
            self.folder.say(state, self.training.step, self.steps, error)

    def summary(self) -> TrainingSummary:
        lines = [line for line in read_metrics(self.folder.metrics) if "held_out" in line]
        last = {name: value for name, value in lines[-1].items() if name != "step"} if lines else {}
        path = self.folder.checkpoints / checkpoints.name_of(self.training.step)
        return TrainingSummary(self.training.recipe.name, self.training.step, path, self.folder.curves, last)
