"""``counterdub``: commands and their options. Heavy imports happen inside the commands."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import Annotated, Any

import typer

from services.cli.commands import db, evaluate, keys, store
from services.cli.commands.api import api
from services.cli.commands.embed import embed
from services.cli.commands.options import Json, Set, Subtitles, Translation
from services.cli.commands.parity import parity
from services.cli.commands.reproduce import reproduce
from services.cli.commands.serve import serve
from services.cli.commands.shards import shards
from services.cli.commands.submit import submit
from services.cli.commands.train import train
from services.cli.commands.voices import line, voices
from services.cli.commands.worker import worker
from services.cli.terminal.output import (
    DONE,
    FAILED,
    SOME_REJECTED,
    OneLineFormatter,
    console,
    errors,
    reported,
    say_json,
)

app = typer.Typer(
    name="counterdub",
    help="Turn video into counterfactual audiovisual pairs: the picture and background stay, the speech changes.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)
models = typer.Typer(help="Fetch, list and verify model weights.", no_args_is_help=True)
app.add_typer(models, name="models")

Jobs = Annotated[int, typer.Option(min=1, max=64, help="Tasks at a time; engines use two threads each.")]

VideoStream = Annotated[int | None, typer.Option(min=0, help="Stream of the file that the picture is.")]
AudioStream = Annotated[int | None, typer.Option(min=0, help="Stream of the file that the sound is.")]


def streams(video: int | None, audio: int | None) -> list[str]:
    """The settings that choose streams of the file."""
    chosen = {"ingest.video_stream": video, "ingest.audio_stream": audio}
    return [f"{name}={index}" for name, index in chosen.items() if index is not None]


@app.callback()
def options(verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Log what happens.")] = False) -> None:
    """Options of every command."""
    shown = logging.StreamHandler()
    shown.setLevel(logging.INFO if verbose else logging.ERROR)
    shown.setFormatter(logging.Formatter("%(levelname)s %(name)s: %(message)s") if verbose else OneLineFormatter())
    logging.basicConfig(level=logging.INFO if verbose else logging.WARNING, handlers=[shown])


@app.command()
def dub(
    inputs: Annotated[list[str], typer.Argument(metavar="INPUT…", help="Videos, folders or globs.")],
    lang: Annotated[list[str], typer.Option("--lang", "-l", help="Target language (es, fr, …); repeat for more.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Output folder.")],
    profile: Annotated[
        str, typer.Option(help="Engines and defaults: cpu, fastest, gpu, best, commercial, paper.")
    ] = "cpu",
    config: Annotated[Path | None, typer.Option(help="Settings file (TOML).")] = None,
    set_: Set = [],  # noqa: B006 - typer copies it
    transcript: Annotated[
        Path | None, typer.Option(help="What is said: SRT, VTT, ASS, SBV, TTML, SAMI, LRC or JSON.")
    ] = None,
    translation: Translation = [],  # noqa: B006 - typer copies it
    subtitles: Subtitles = None,
    video_stream: VideoStream = None,
    audio_stream: AudioStream = None,
    jobs: Jobs = 2,
    accept_licence: Annotated[
        list[str], typer.Option(metavar="NAME", help="A licence that forbids commercial use, such as CPML.")
    ] = [],  # noqa: B006 - typer copies it
    fresh: Annotated[
        bool, typer.Option("--fresh/--resume", help="Do the work again, or go on from what is there.")
    ] = False,
    signing_key: Annotated[
        Path | None,
        typer.Option(envvar="COUNTERDUB_SIGNING_KEY", help="Ed25519 key (PEM) that signs provenance.json."),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Fetch models that are not here without asking.")] = False,
    json: Json = False,
) -> None:
    """Dub videos into other languages and lay out the pairs.

    Exit codes: 0 done, 1 some titles or languages failed, 2 bad usage, 3 failed, 130 interrupted.
    """
    with reported(json):
        from services.cli.terminal.model_consent import provide_models
        from services.cli.terminal.progress import Bars
        from shared.pipeline import folder_commands
        from shared.pipeline.licences import require
        from shared.pipeline.run import RunOptions
        from shared.pipeline.title_names import find_videos
        from shared.settings.models import load_settings
        from shared.transcripts.given_texts import GivenTexts, parse_translations

        settings = load_settings(profile, config, [*set_, *streams(video_stream, audio_stream)])
        if signing_key is not None:
            signed = settings.provenance.model_copy(update={"signing_key": str(signing_key.absolute())})
            settings = settings.model_copy(update={"provenance": signed})
        require(settings, accept_licence)
        find_videos(inputs)
        provide_models(settings, lang, yes=yes, quiet=json)
        given = GivenTexts(transcript, parse_translations(translation), subtitles)
        with Bars(errors, quiet=json) as bars:
            options = RunOptions(jobs, fresh, bars)
            summary = folder_commands.dub(inputs, lang, out, settings, given=given, options=options)
        finish(summary, json)


@app.command()
def redub(
    out: Annotated[Path, typer.Argument(help="Output folder of an earlier run.")],
    utterance: Annotated[str, typer.Option(help="Id of the line, such as u0003.")],
    lang: Annotated[str, typer.Option("--lang", "-l", help="Language of the new text.")],
    text: Annotated[str, typer.Option(help="What shall be said.")],
    title: Annotated[str | None, typer.Option(help="Which title, when the folder holds several.")] = None,
    jobs: Jobs = 2,
    json: Json = False,
) -> None:
    """Give one line another text and redo what depends on it, nothing else."""
    with reported(json):
        from services.cli.terminal.progress import Bars
        from shared.pipeline import folder_commands
        from shared.pipeline.run import RunOptions

        with Bars(errors, quiet=json) as bars:
            summary = folder_commands.redub(
                out, utterance, lang, text, title=title, options=RunOptions(jobs, listener=bars)
            )
        finish(summary, json)


def finish(summary: Any, as_json: bool) -> None:
    """Print a run's summary and leave with its exit code."""
    if as_json:
        say_json(summary.to_dict())
    else:
        for title in summary.titles:
            mark = "[green]done[/]" if title["state"] == "done" else "[red]failed[/]"
            console.print(f"{mark}  {title['title']}  {' '.join(title['tracks'])}", highlight=False)
            if title["notes"]:
                notes = " ".join(note["message"] for note in title["notes"])
                console.print(f"      {notes}", highlight=False, soft_wrap=True, markup=False)
        console.print(
            f"{summary.accepted} pair rows accepted, {summary.rejected} rejected; "
            f"{summary.computed_tasks} tasks done, {summary.cached_tasks} found; {summary.seconds:.1f} s",
            highlight=False,
        )
        where = f"tracks  {summary.out}/<title>/tracks\nreport  {summary.report}"
        console.print(where, highlight=False, soft_wrap=True)
    if summary.titles and all(title["state"] == "failed" for title in summary.titles):
        raise typer.Exit(FAILED)
    raise typer.Exit(DONE if summary.all_done else SOME_REJECTED)


@app.command()
def report(out: Annotated[Path, typer.Argument(help="Output folder of an earlier run.")], json: Json = False) -> None:
    """Rebuild the tables and the HTML report of an output folder."""
    with reported(json):
        from shared.pipeline import folder_commands

        path = folder_commands.rebuild_report(out)
        say_json({"report": str(path)}) if json else console.print(str(path), soft_wrap=True, highlight=False)


@app.command()
def verify(
    out: Annotated[Path, typer.Argument(help="Output folder of an earlier run.")],
    title: Annotated[str | None, typer.Option(help="One title; all when absent.")] = None,
    json: Json = False,
) -> None:
    """Hold every file that says it is synthetic against provenance.json, and check its signature.

    Exit codes: 0 all as they were made, 1 some file changed or is gone, or a signature does not fit.
    """
    with reported(json):
        from shared.pipeline import folder_commands

        verdicts = folder_commands.verify_provenance(out, title)
        if json:
            say_json({name: verdict._asdict() for name, verdict in verdicts.items()})
        for name, verdict in {} if json else verdicts.items():
            console.print(f"{name}  signature: {verdict.signature}", highlight=False, markup=False)
            for what, files in (("changed", verdict.changed), ("missing", verdict.missing)):
                for file in files:
                    console.print(f"  {what}  {file}", highlight=False, soft_wrap=True, markup=False)
        if any(one.changed or one.missing or one.signature == "invalid" for one in verdicts.values()):
            raise typer.Exit(SOME_REJECTED)


@app.command()
def inspect(
    file: Annotated[Path, typer.Argument(help="A video.")],
    shots: Annotated[bool, typer.Option(help="Look for the shots too.")] = False,
    set_: Set = [],  # noqa: B006 - typer copies it
    video_stream: VideoStream = None,
    audio_stream: AudioStream = None,
    json: Json = False,
) -> None:
    """Show what a video holds, as the pipeline will see it."""
    with reported(json):
        from services.cli.terminal.tables import probe_table
        from services.ingest.inspect import inspect as look
        from shared.settings.models import load_settings

        wanted = load_settings("cpu", None, [*set_, *streams(video_stream, audio_stream)])
        facts = look(file, shots=shots, settings=wanted)
        say_json(facts) if json else console.print(probe_table(facts))


@app.command()
def engines(
    check: Annotated[bool, typer.Option("--check", help="Load each configured engine and let it work.")] = False,
    profile: Annotated[str, typer.Option(help="Whose engines to check: cpu or gpu.")] = "cpu",
    config: Annotated[Path | None, typer.Option(help="Settings file (TOML).")] = None,
    set_: Set = [],  # noqa: B006 - typer copies it
    json: Json = False,
) -> None:
    """List the engines of every stage with their licences, or check those that the settings name."""
    with reported(json):
        from services.cli.terminal import tables

        if not check:
            rows = tables.engine_rows()
            say_json({"engines": rows}) if json else console.print(tables.engine_table(rows))
            return
        from shared.pipeline import engine_check
        from shared.settings.models import load_settings

        rows = [row.to_dict() for row in engine_check.check_engines(load_settings(profile, config, set_))]
        say_json({"engines": rows}) if json else console.print(tables.check_table(rows))
        if any(row["error"] for row in rows):
            raise typer.Exit(FAILED)


@models.command("list")
def models_list(json: Json = False) -> None:
    """List known models: licence, size, whether they are here: pinned, or trusted since their first fetch."""
    with reported(json):
        from services.cli.terminal.tables import model_rows, model_table

        rows = model_rows()
        say_json({"models": rows}) if json else console.print(model_table(rows))


@models.command("pull")
def models_pull(
    names: Annotated[
        list[str] | None,
        typer.Argument(help="Models, also a hub's OWNER/NAME; all of the profile when none is named."),
    ] = None,
    profile: Annotated[str, typer.Option(help="Whose models: cpu, fastest, gpu, best, commercial or paper.")] = "cpu",
    lang: Annotated[
        list[str], typer.Option("--lang", "-l", help="What the profile loads for these languages; repeat for more.")
    ] = [],  # noqa: B006 - typer copies it
    config: Annotated[Path | None, typer.Option(help="Settings file (TOML); with --lang.")] = None,
    set_: Set = [],  # noqa: B006 - typer copies it
    json: Json = False,
) -> None:
    """Fetch and verify weights. What is here and fits is kept."""
    with reported(json):
        from services.cli.terminal.tables import pull_with_bars
        from shared.settings.models import load_settings
        from shared.weights.known_models import profile_models

        settings = load_settings(profile, config, set_)
        wanted = names or profile_models(profile)
        if lang and not names:
            from shared.pipeline.folder_commands import needed_models

            wanted = needed_models(settings, lang)
        pulled = pull_with_bars(wanted, quiet=json)
        say_json({"pulled": pulled}) if json else console.print(f"{len(pulled)} models are here and verified")


@models.command("verify")
def models_verify(
    names: Annotated[list[str] | None, typer.Argument(help="Models; all that are here when none is named.")] = None,
    json: Json = False,
) -> None:
    """Hash the weights that are here against the registry, or against what was fetched first."""
    with reported(json):
        from shared.weights.known_models import verify_models

        results = verify_models(names or None)
        if json:
            say_json({"verified": results})
        else:
            for name, state in results.items():
                console.print(f"{state:8} {name}", highlight=False)
        if any(state == "damaged" for state in results.values()):
            raise typer.Exit(FAILED)


for command in (voices, line, shards, serve, submit, api, worker, train, embed, parity, reproduce):
    app.command()(command)
app.add_typer(db.app, name="db")
app.add_typer(store.app, name="store")
app.add_typer(keys.app, name="keys")
app.add_typer(evaluate.app, name="eval")


def main() -> None:
    # Engines bring their own threads; BLAS's would only spin beside them on matrices as small as ours. Read at import.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    app()
