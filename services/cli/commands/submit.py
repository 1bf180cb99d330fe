"""``counterdub submit``: have a server do it. A client of the REST interface and of nothing else."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from services.cli.commands.options import Json, Set, Translation
from services.cli.terminal.extras import with_extra
from services.cli.terminal.output import console, errors, say_json

if TYPE_CHECKING:
    from rich.progress import Progress

    from services.cli.client.remote import Server
    from services.cli.client.upload import SubmitOrder


def submit(
    inputs: Annotated[
        list[str] | None, typer.Argument(metavar="INPUT…", help="Videos, folders, globs, or URLs (http, s3).")
    ] = None,
    lang: Annotated[list[str], typer.Option("--lang", "-l", help="Target language (es, fr, …); repeat for more.")] = [],  # noqa: B006 - typer copies it
    url: Annotated[str, typer.Option(envvar="COUNTERDUB_URL", help="The server.")] = "http://127.0.0.1:8000",
    key: Annotated[str | None, typer.Option(envvar="COUNTERDUB_API_KEY", help="API key, if it wants one.")] = None,
    wait: Annotated[bool, typer.Option("--wait", help="Follow the job to its end.")] = False,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Fetch the results there; waits for them.")] = None,
    job: Annotated[str | None, typer.Option(help="Wait for, or fetch, an earlier job instead.")] = None,
    profile: Annotated[str, typer.Option(help="Engines and defaults: cpu or gpu.")] = "cpu",
    set_: Set = [],  # noqa: B006
    transcript: Annotated[Path | None, typer.Option(help="SRT, VTT or JSON with the source text of the video.")] = None,
    translation: Translation = [],  # noqa: B006 - typer copies it
    subtitles: Annotated[
        str | None, typer.Option(help="embedded: the videos' own subtitles are transcripts and translations.")
    ] = None,
    name: Annotated[str, typer.Option(help="For people.")] = "",
    json: Json = False,
) -> None:
    """Send videos to a server (`counterdub serve`) and, if wanted, wait for the results.

    Exit codes as for `dub`: 0 done, 1 some titles or languages failed, 2 bad usage, 3 failed, 130 interrupted.
    """
    with with_extra("client", json):
        from services.cli.client.remote import Server
        from shared.core.errors import UsageError

        if (job is None) == (not inputs):
            raise UsageError("Name videos, or a job with --job.", code="no_input")
        with Server(url, key) as server:
            if job is None:
                order = made_order(inputs or [], lang, profile, set_, name)
                order = replace(order, **texts(transcript, translation), subtitles=subtitles)
                sent = send(server, order, json)
                if not json:
                    errors.print(f"job {sent['id']}", highlight=False, soft_wrap=True)
            else:
                sent = server.call("GET", f"/v1/jobs/{job}").json()
            if wait or out:
                code = finish(server, str(sent["id"]), out, json)
                raise typer.Exit(code)
            say_json(sent) if json else console.print(f"{server.url}{sent['links']['self']}", soft_wrap=True)


def made_order(inputs: list[str], lang: list[str], profile: str, set_: list[str], name: str) -> SubmitOrder:
    """What the options ask for, as far as it can be checked here."""
    from services.cli.client.upload import SubmitOrder
    from shared.core.errors import UsageError
    from shared.pipeline.title_names import find_videos
    from shared.settings.models import merge, parse_override

    if not lang:
        raise UsageError("Name at least one target language: --lang es", code="no_language")
    settings: dict[str, Any] = {}
    for override in set_:
        merge(settings, parse_override(override))
    urls = [item for item in inputs if item.startswith(("http://", "https://", "s3://"))]
    files = [item for item in inputs if item not in urls]
    return SubmitOrder(find_videos(files) if files else [], urls, lang, profile, settings, name)


def texts(transcript: Path | None, translation: list[str]) -> dict[str, Any]:
    """Transcript and translations as members of :class:`~services.cli.client.upload.SubmitOrder`.

    Raises:
        UsageError: ``bad_translation``.
        InputError: ``bad_transcript``, ``bad_translation`` for a file that is not UTF-8 text.
    """
    from shared.transcripts.given_texts import parse_translations

    return {
        "transcript": None if transcript is None else read_text(transcript, "bad_transcript"),
        "translations": {
            language: read_text(file, "bad_translation") for language, file in parse_translations(translation).items()
        },
    }


def read_text(file: Path, code: str) -> str:
    from shared.core.errors import InputError

    try:
        return file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{file.name} cannot be read as UTF-8 text.", code=code) from error


def send(server: Server, order: SubmitOrder, quiet: bool) -> dict[str, Any]:
    from services.cli.client.upload import submit as send_order

    with byte_bars(quiet) as progress:
        bars: dict[str, Any] = {}

        def sent(name: str, done: int, size: int) -> None:
            if name not in bars:
                bars[name] = progress.add_task(name, total=size)
            progress.update(bars[name], completed=done)

        return send_order(server, order, sent)


def finish(server: Server, job_id: str, out: Path | None, as_json: bool) -> int:
    """Wait for the job's end, fetch its files if they are wanted, print what became of it; returns the exit code."""
    from services.cli.client.download import fetch_all
    from services.cli.client.follow import Watch, follow
    from services.cli.terminal.progress import Bars

    with Bars(errors, quiet=as_json) as bars:
        watch = Watch(bars)
        try:
            follow(server, job_id, watch)
        except KeyboardInterrupt:
            errors.print(f"the job goes on; come back with --job {job_id} --wait", highlight=False, soft_wrap=True)
            raise
    job = server.call("GET", f"/v1/jobs/{job_id}").json()
    titles = list(server.items(f"/v1/jobs/{job_id}/titles"))
    files = list(server.items(f"/v1/jobs/{job_id}/files")) if out else []
    if out:
        with byte_bars(as_json) as progress:
            bar = progress.add_task("results", total=sum(file["bytes"] for file in files))
            fetch_all(server, files, out, lambda amount: progress.advance(bar, amount))
    if as_json:
        say_json({**job, "results": titles, "failures": watch.failed, "out": str(out) if out else None})
    else:
        show(server, job, titles, out)
    return watch.exit_code(len(titles), job["progress"]["titles_failed"])


def show(server: Server, job: dict[str, Any], titles: list[dict[str, Any]], out: Path | None) -> None:
    for title in titles:
        mark = "[green]done[/]" if title["state"] == "done" else f"[red]{title['state']}[/]"
        console.print(f"{mark}  {title['name']}  {' '.join(title['languages'])}", highlight=False)
    summary = job.get("summary") or {}
    if summary:
        rows = f"{summary.get('accepted', 0)} pair rows accepted, {summary.get('rejected', 0)} rejected"
        console.print(f"{rows}; {job['progress']['tasks']} tasks", highlight=False)
    if out:
        where = f"tracks  {out}/<title>/tracks\nreport  {out}/report.html"
    else:
        where = f"report  {server.url}{job['links']['report']}"
    console.print(where, highlight=False, soft_wrap=True)


def byte_bars(quiet: bool) -> Progress:
    """Bars that count bytes; nothing when nobody watches."""
    from rich.progress import BarColumn, DownloadColumn, TextColumn, TransferSpeedColumn

    from services.cli.terminal.progress import make_progress

    columns = (
        TextColumn("{task.description:<22.22}"),
        BarColumn(bar_width=32),
        DownloadColumn(),
        TransferSpeedColumn(),
    )
    return make_progress(*columns, quiet=quiet)
