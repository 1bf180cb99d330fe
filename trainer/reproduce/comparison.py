"""The miniature as a whole: two processes make what is missing, in order; then the results are written."""

from __future__ import annotations

import itertools
import multiprocessing
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from shared.core.errors import Cancelled, CounterdubError, EngineError, StorageError
from shared.core.storage_errors import storage_errors
from trainer.reproduce.cache import TRAINER, digest_of_files, key_of
from trainer.reproduce.cinema.sounds import material
from trainer.reproduce.cinema.words import LANGUAGES
from trainer.reproduce.processes import Baseline, Draw, Job, Read, Speak, Train, work
from trainer.reproduce.scale import Scale, World
from trainer.reproduce.variants import BASELINES, MAIN, TrainingVariant, trainings

Say = Callable[[str, int, int], None]
"""What is done, how many of them are, of how many."""

SPOKEN = ("reproduce/cinema/words.py", "reproduce/cinema/speech.py", "reproduce/cinema/espeak_voice.py")
HEARD = ("reproduce/cinema/sounds.py", "frontend/mel.py")
DRAWN = ("reproduce/cinema/plot.py", "reproduce/cinema/pictures.py", "reproduce/cinema/world.py")
MEASURED = ("reproduce/probes.py", "evaluation/invariance/measures.py", "model.py", "towers/tiny.py")

COST = {"cinema-sep": 0.65, "cinema-aud": 0.7, "cinema-aud-efj": 0.7}
"""Of a step, beside one of two views and a picture; from the towers' own cost (0.24 s for
two sounds of each of 64 shots, 0.10 s for their pictures, on one core)."""
TIMED = 5
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


@dataclass
class Outcome:
    """Where each measure lies: group → label → fold → file; worlds' hashes by group; seconds by phase."""

    scale: Scale
    measured: dict[str, dict[str, dict[int, Path]]]
    data: dict[str, str]
    seconds: dict[str, float] = field(default_factory=dict)
    expected_s: float | None = None


def run_comparison(
    scale: Scale, folder: Path, data: Path | None = None, jobs: int = 2, say: Say = lambda what, done, of: None
) -> Outcome:
    """Make whatever of the miniature is not in ``folder`` yet.

    Args:
        scale: How large.
        folder: Where all of it is kept.
        data: Folder of ESC-10 and spoken digits; COUNTERDUB_DATA or ``../shared/data`` if absent.
        jobs: Processes of one thread each.
        say: Hears how far it is.

    Raises:
        InputError: ``no_material``, ``bad_audio``.
        EngineError: ``engine_missing``, ``weights_missing``, ``training_killed``, and what a training raises.
        StorageError: ``run_in_use``, ``disk_full``, ``not_writable``.
        Cancelled: it was interrupted; the same call goes on.
    """
    with alone(folder):
        return run_alone(scale, folder, material(data), jobs, say)


def run_alone(scale: Scale, folder: Path, place: Path, jobs: int, say: Say) -> Outcome:
    """As :func:`run`, in a folder that nobody else writes to, with the recordings in ``place``."""
    seconds: dict[str, float] = {}
    kept = folder / "kept"
    sentences = {by: count for by, count in (("espeak", scale.sentences), ("kokoro", scale.kokoro)) if count}
    speech = {
        (by, language): kept / f"speech-{by}-{language}-{key_of(by, language, count, code=SPOKEN)}"
        for by, count in sentences.items()
        for language in LANGUAGES
    }
    data_key = digest_of_files(place / "esc10") + digest_of_files(place / "spoken-digits")
    sounds = kept / f"sounds-{key_of(data_key, code=HEARD)}"
    first: list[Job] = [Speak(where, by, language, sentences[by]) for (by, language), where in speech.items()]
    # The slow ones first.
    first.sort(key=lambda job: isinstance(job, Speak) and job.by == "espeak")
    with phase("speech and sounds", seconds):
        everyone([*first, Read(sounds, place)], jobs, "speech and sounds", say)

    sizes = [scale.titles, scale.shots, scale.probe_titles, scale.test_titles, scale.separator]
    below = [str(where.name) for where in (*speech.values(), sounds)]
    every = trainings(scale)
    worlds: dict[World, Path] = {}
    for world in dict.fromkeys(training.world for training in every):
        name = f"world-{world.fold}-{key_of(world, sizes, below, code=(*DRAWN, *SPOKEN[:1]))}"
        worlds[world] = kept / name
    with phase("worlds", seconds):
        everyone([Draw(where, world, scale, speech, sounds) for world, where in worlds.items()], jobs, "worlds", say)

    probes = key_of(code=MEASURED)
    todo = list(tasks(every, worlds, sounds, kept, probes))
    missing = [job.training for _, job in todo if isinstance(job, Train) and not job.folder.exists()]
    expected = expect(missing, worlds, jobs) if missing else 0.0
    say(f"trainings, about {max(1, round(expected / 60))} min", 0, len(todo))
    with phase("trainings and probes", seconds):
        paths = everyone([job for _, job in todo], jobs, "trainings and probes", say)
    measured: dict[str, dict[str, dict[int, Path]]] = {}
    for ((group, label, fold), _), path in zip(todo, paths, strict=True):
        measured.setdefault(group, {}).setdefault(label, {})[fold] = path
    data_of = {group: key_of([worlds[one.world].name for one in every if one.group == group]) for group in measured}
    return Outcome(scale, measured, data_of, seconds, round(expected, 1))


def tasks(
    every: Iterable[TrainingVariant], worlds: dict[World, Path], sounds: Path, kept: Path, probes: str
) -> Iterable[tuple[tuple[str, str, int], Train | Baseline]]:
    """Group, label and fold of each measure, and the job that makes it."""
    for training in every:
        world, of = worlds[training.world], training.world.fold
        recipe = training.loaded().model_dump(mode="json", exclude={"name", "description"})
        key = key_of(recipe, world.name, code=TRAINER)
        name = "".join(letter for letter in training.recipe if letter.isalnum() or letter == "-")
        yield (
            (training.group, training.label, of),
            Train(kept / f"run-{name}-{of}-{key}", training, world, sounds, probes),
        )
        if training.group == MAIN and training.label == "EN":
            for label in BASELINES:
                path = (
                    kept / f"baseline-{label.split()[0]}-{of}-{key_of(recipe, world.name, probes, code=TRAINER)}.json"
                )
                yield (MAIN, label, of), Baseline(path, training, label == BASELINES[1], world, sounds)


def everyone(jobs: list[Any], processes: int, what: str, say: Say) -> list[Path]:
    """Do jobs in processes of their own; results in the jobs' order. The first failure ends the others."""
    # Read when a process starts: two processes of many threads each would only disturb one another.
    before = {name: os.environ.get(name) for name in THREADS}
    os.environ.update(dict.fromkeys(THREADS, "1"))
    results: dict[int, Path] = {}
    # A process for each job: eSpeak's library can be set up once only, for speech or for phonemes.
    pool = ProcessPoolExecutor(processes, multiprocessing.get_context("spawn"), max_tasks_per_child=1)
    try:
        places: dict[Future[Path | dict[str, Any]], int] = {pool.submit(work, job): at for at, job in enumerate(jobs)}
        for done, future in enumerate(as_completed(places), 1):
            answer = future.result()
            if isinstance(answer, dict):
                raise error_of(answer)
            results[places[future]] = answer
            say(what, done, len(jobs))
    except BrokenProcessPool as error:
        raise EngineError(
            "A process was ended from outside, most often for want of memory. Give it more, or use fewer with --jobs.",
            code="training_killed",
            retryable=True,
        ) from error
    finally:
        pool.shutdown(cancel_futures=True)
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
    return [results[at] for at in range(len(jobs))]


def error_of(failure: dict[str, Any]) -> CounterdubError:
    """The error of a process, from the plain values that it handed back."""
    if failure["code"] == "cancelled":
        return Cancelled(failure["message"])
    return EngineError(
        failure["message"],
        code=failure["code"],
        stage=failure["stage"],
        retryable=failure["retryable"],
        **failure["details"],
    )


def expect(missing: list[TrainingVariant], worlds: dict[World, Path], jobs: int) -> float:
    """Seconds that these trainings will take, from the first steps of one of them in this process."""
    import torch

    from trainer.training.loop import train

    torch.set_num_threads(1)
    times: list[float] = []
    timed = next((one for one in missing if COST.get(one.recipe, 1) == 1), missing[0])._replace(steps=TIMED)
    with tempfile.TemporaryDirectory() as scratch:
        recipe = timed.loaded()
        train(
            recipe,
            str(worlds[timed.world]),
            Path(scratch) / "run",
            listener=lambda *_: times.append(time.perf_counter()),
        )
    step = statistics.median(later - one for one, later in itertools.pairwise(times[1:]))
    return sum(one.steps * COST.get(one.recipe, 1.0) * step for one in missing) / jobs


@contextmanager
def phase(name: str, seconds: dict[str, float]) -> Iterator[None]:
    """Note the seconds that a block takes."""
    began = time.perf_counter()
    yield
    seconds[name] = round(time.perf_counter() - began, 1)


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """One miniature at a time in a folder.

    Raises:
        StorageError: ``run_in_use``, ``not_writable``.
    """
    with storage_errors("the miniature"):
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / ".lock", timeout=0)
        try:
            lock.acquire()
        except Timeout as error:
            raise StorageError(
                "Another miniature is made in this folder. Wait for it, or choose another.",
                code="run_in_use",
                retryable=True,
            ) from error
    try:
        yield
    finally:
        lock.release()
