"""``counterdub eval``: HEAR's tasks, probes, what dubbing can ask, tables of results."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from services.cli.commands.evaluation_options import (
    EvaluationOptions,
    bar,
    evaluate_checkpoints,
    named,
    show_results,
    torch_device,
)
from services.cli.commands.options import Device, Json
from services.cli.terminal.extras import with_extra
from services.cli.terminal.output import console, say_json

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trainer.evaluation.cache import EmbeddingCache
    from trainer.evaluation.hear.protocol import Listener

app = typer.Typer(help="Evaluate checkpoints and compare the results.", no_args_is_help=True)

Checkpoint = Annotated[
    list[str],
    typer.Option(
        "--checkpoint",
        "-c",
        help="A checkpoint, the folder of a training, random:RECIPE or mel-statistics; NAME=… names it in tables.",
    ),
]
Out = Annotated[Path, typer.Option("--out", "-o", help="Folder of the results, one JSON each.")]
Cache = Annotated[
    Path | None,
    typer.Option(help="File of embeddings that are kept; by default embeddings.db in the folder of results."),
]
Seed = Annotated[int, typer.Option(help="Of everything that is drawn.")]


@app.command()
def hear(
    tasks: Annotated[list[Path], typer.Argument(metavar="TASKS…", help="Folders of tasks as HEAR lays them out.")],
    checkpoint: Checkpoint,
    out: Out = Path("evaluations"),
    grid: Annotated[str, typer.Option(help="HEAR's grid of the predictor: default, fast or faster.")] = "default",
    grid_points: Annotated[int, typer.Option(min=1, help="Points of the grid that are tried.")] = 8,
    seed: Seed = 0,
    cache: Cache = None,
    device: Device = "auto",
    json: Json = False,
) -> None:
    """Run HEAR 2021 tasks by HEAR's own protocol; each clip is embedded once, whatever number of tasks it is in."""
    with with_extra("trainer", json):
        from trainer.evaluation.hear.protocol import evaluate
        from trainer.evaluation.hear.tasks import read_task
        from trainer.evaluation.subject import Subject

        hear_tasks = [read_task(folder) for folder in tasks]

        def measure(label: str, encoder: Any, kept: EmbeddingCache, listener: Listener) -> Iterator[Any]:
            for task in hear_tasks:
                yield evaluate(
                    task,
                    Subject(encoder, kept, label, seed, torch_device(device)),
                    grid=grid,
                    grid_points=grid_points,
                    listener=named(listener, f"{label} {task.name}"),
                )

        options = EvaluationOptions(checkpoint, out, seed, cache, device, quiet=json)
        show_results(evaluate_checkpoints(options, measure), json)


@app.command()
def probe(
    data: Annotated[Path, typer.Argument(help="Folder with the clips and the published lists.")],
    layout: Annotated[str, typer.Option(help="ucf101, hmdb51, vggsound, lvu or folders (train/, test/ of classes).")],
    checkpoint: Checkpoint,
    out: Out = Path("evaluations"),
    streams: Annotated[str, typer.Option(help="video, audio, or both joined.")] = "video",
    split: Annotated[list[int], typer.Option(min=1, max=3, help="Of UCF101 and HMDB51; repeat for more.")] = [1],  # noqa: B006
    task: Annotated[list[str], typer.Option(help="Of LVU; all nine if none is named.")] = [],  # noqa: B006
    linear: Annotated[bool, typer.Option("--linear", help="A linear probe alone, not the grid of MLPs.")] = False,
    epochs: Annotated[int, typer.Option(min=1, help="Of each probe; the paper's are 200.")] = 200,
    seed: Seed = 0,
    cache: Cache = None,
    device: Device = "auto",
    json: Json = False,
) -> None:
    """Probe pictures, sounds or both: linear and MLP on UCF101, HMDB51, VGGSound, LVU (SGD 0.2, cosine)."""
    with with_extra("trainer", json):
        from shared.core.errors import UsageError
        from trainer.encoder import Encoder
        from trainer.evaluation.probes.listings import LISTINGS, LVU_TASKS, lvu
        from trainer.evaluation.probes.probe import GRID, LINEAR, PAPER
        from trainer.evaluation.probes.protocol import evaluate
        from trainer.evaluation.subject import Subject

        if layout not in {*LISTINGS, "lvu"} or streams not in {"video", "audio", "both"}:
            raise UsageError(f"There is no layout “{layout}” or no streams “{streams}”.", code="bad_setting")
        if layout == "lvu":
            listings = [lvu(data, name) for name in task or LVU_TASKS]
        else:
            listings = [LISTINGS[layout](data, number) for number in split]

        def measure(label: str, encoder: Any, kept: EmbeddingCache, listener: Listener) -> Iterator[Any]:
            if not isinstance(encoder, Encoder):
                raise UsageError(f"“{label}” has no tower for pictures.", code="no_tower")
            for listing in listings:
                result = evaluate(
                    listing,
                    Subject(encoder, kept, label, seed, torch_device(device)),
                    streams=streams,
                    grid=LINEAR if linear else GRID,
                    schedule=PAPER._replace(epochs=epochs),
                    progress=partial(listener, f"{label} {listing.name}"),
                )
                yield result, None

        options = EvaluationOptions(checkpoint, out, seed, cache, device, quiet=json)
        show_results(evaluate_checkpoints(options, measure), json)


@app.command()
def long(
    tasks: Annotated[list[Path], typer.Argument(metavar="TASKS…", help="Folders of tasks as HEAR lays them out.")],
    checkpoint: Checkpoint,
    out: Out = Path("evaluations"),
    steps: Annotated[
        int, typer.Option(min=1, help="Of each probe; HARES' are 400,000, a warm-up of 5,000 in them.")
    ] = 400_000,
    hidden: Annotated[int, typer.Option(min=0, max=2, help="Hidden layers of 512; 0: a linear probe.")] = 0,
    seed: Seed = 0,
    cache: Cache = None,
    device: Device = "auto",
    json: Json = False,
) -> None:
    """Run scene tasks by HARES' schedule: Adam 2e-4, 400k steps, warm-up, cosine, batch 64."""
    with with_extra("trainer", json):
        from trainer.evaluation.hear.tasks import read_task
        from trainer.evaluation.probes.probe import HARES, Shape
        from trainer.evaluation.probes.protocol import evaluate_long
        from trainer.evaluation.subject import Subject

        scene_tasks = [read_task(folder) for folder in tasks]
        schedule = HARES._replace(steps=steps, warmup=min(HARES.warmup, steps // 80))

        def measure(label: str, encoder: Any, kept: EmbeddingCache, listener: Listener) -> Iterator[Any]:
            for task in scene_tasks:
                result = evaluate_long(
                    task,
                    Subject(encoder, kept, label, seed, torch_device(device)),
                    shape=Shape(hidden),
                    schedule=schedule,
                    listener=named(listener, f"{label} {task.name}"),
                )
                yield result, None

        options = EvaluationOptions(checkpoint, out, seed, cache, device, quiet=json)
        show_results(evaluate_checkpoints(options, measure), json)


@app.command()
def invariance(
    shards: Annotated[Path, typer.Argument(help="Folder of shards: counterdub shards.")],
    checkpoint: Checkpoint,
    out: Out = Path("evaluations"),
    shots: Annotated[int, typer.Option(min=2, help="Shots at most.")] = 2000,
    speech: Annotated[
        Path | None,
        typer.Option(help="Folder of spoken digits, <digit>_<speaker>_<n>.wav: probes of word and speaker."),
    ] = None,
    seed: Seed = 0,
    cache: Cache = None,
    device: Device = "auto",
    json: Json = False,
) -> None:
    """Measure what dubbing alone can ask: are a shot's tracks alike, is its dub found, what of the speech is kept."""
    with with_extra("trainer", json):
        from shared.core.errors import UsageError
        from trainer.encoder import Encoder
        from trainer.evaluation.invariance.protocol import evaluate
        from trainer.evaluation.subject import Subject

        def measure(label: str, encoder: Any, kept: EmbeddingCache, listener: Listener) -> Iterator[Any]:
            if not isinstance(encoder, Encoder):
                raise UsageError(f"“{label}” has no recipe to cut shots by.", code="no_tower")
            result = evaluate(
                shards,
                Subject(encoder, kept, label, seed),
                limit=shots,
                speech=speech,
                progress=partial(listener, label),
            )
            yield result, None

        options = EvaluationOptions(checkpoint, out, seed, cache, device, quiet=json)
        show_results(evaluate_checkpoints(options, measure), json, every=True)


@app.command()
def layout(
    kind: Annotated[str, typer.Argument(help="esc, digits, digit-takes or folders.")],
    source: Annotated[Path, typer.Argument(help="Folder of the data set.")],
    to: Annotated[Path, typer.Option(help="Folder of the task that is made.")],
    name: Annotated[str, typer.Option(help="Name of the task; that of its folder by default.")] = "",
    json: Json = False,
) -> None:
    """Lay a data set out as a HEAR task: ESC-10 or ESC-50, spoken digits, a folder a class."""
    with with_extra("trainer", json):
        from shared.core.errors import UsageError
        from trainer.evaluation.hear.layouts import LAYOUTS, lay_out

        if kind not in LAYOUTS:
            raise UsageError(f"There is no layout “{kind}” (known: {', '.join(LAYOUTS)}).", code="bad_setting")
        with bar(quiet=json) as listener:
            task = lay_out(kind, source, to, name, lambda done, of: listener("clips", done, of))
        facts = {"task": task.name, "clips": len(task.clips), "classes": len(task.labels), "splits": list(task.splits)}
        if json:
            say_json(facts)
        else:
            console.print(
                f"{task.name}: {len(task.clips)} clips, {len(task.labels)} classes, {len(task.splits)} splits"
            )


@app.command("tasks")
def tasks_command(json: Json = False) -> None:
    """List the tasks of the paper's Tables B.1 to B.4: metric, data, command."""
    with with_extra("trainer", json):
        from rich.table import Table

        from trainer.evaluation.results.table import catalogue

        known = catalogue()
        if json:
            say_json({"tasks": known})
            return
        shown = Table("task", "group", "metric", "command", "data", box=None)
        for key, entry in known.items():
            shown.add_row(key, entry["group"], entry["metric"], f"eval {entry['runs']}", entry["data"])
        console.print(shown)


@app.command()
def table(
    runs: Annotated[list[Path], typer.Argument(metavar="RUNS…", help="Results, or folders of them.")],
    html: Annotated[Path | None, typer.Option(help="Write a page with tables and drawings.")] = None,
    reference: Annotated[str, typer.Option(help="Name that others are compared with; EN, else the first.")] = "",
    every_metric: Annotated[bool, typer.Option("--every-metric", help="All metrics, not the main one alone.")] = False,
    draws: Annotated[int, typer.Option(min=100, help="Of the bootstrap over source recordings.")] = 2000,
    json: Json = False,
) -> None:
    """Compare results: means, differences with 95 % intervals, the paper's figures."""
    with with_extra("trainer", json):
        from services.cli.terminal.comparison import evaluation_tables
        from trainer.evaluation.results.page import page
        from trainer.evaluation.results.records import read_all
        from trainer.evaluation.results.table import tabulate, to_dict

        compared = tabulate(read_all(runs), reference, every_metric, draws)
        if html is not None:
            from shared.core.storage_errors import storage_errors

            with storage_errors("the page of evaluations"):
                html.parent.mkdir(parents=True, exist_ok=True)
                html.write_text(page(compared), encoding="utf-8")
        if json:
            say_json(to_dict(compared))
            return
        for shown in evaluation_tables(compared):
            console.print(shown)
        if html is not None:
            console.print(f"page  {html}", soft_wrap=True, highlight=False)
