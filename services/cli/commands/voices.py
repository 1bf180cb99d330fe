"""``counterdub voices`` and ``counterdub line``: hear who speaks for whom, and single lines."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from services.cli.commands.options import Json
from services.cli.terminal.extras import with_extra
from services.cli.terminal.output import console, errors, say_json

if TYPE_CHECKING:
    from shared.core.voices import CastVoice

SoundFile = Annotated[Literal["mp3", "ogg", "wav"], typer.Option("--format", help="Format of the sound.")]
Title = Annotated[str | None, typer.Option(help="Which title, when the folder holds several.")]


def voices(
    out: Annotated[Path, typer.Argument(help="Output folder of an earlier run.")],
    audition: Annotated[
        bool, typer.Option("--audition", help="Let the voices and the next best ones speak, and write reels to hear.")
    ] = False,
    format_: SoundFile = "mp3",
    title: Title = None,
    jobs: Annotated[int, typer.Option(min=1, max=64, help="Tasks at a time; engines use two threads each.")] = 2,
    json: Json = False,
) -> None:
    """List the voice of every speaker in every language; with --audition, hear them.

    A reel is a line of the speaker, the chosen voice saying it, and two alternatives: OUT/<title>/auditions.
    """
    with with_extra("listening", json):
        from shared.pipeline import folder_commands
        from shared.pipeline.run import RunOptions

        if audition:
            from services.cli.terminal.progress import Bars

            with Bars(errors, quiet=json) as bars:
                folder_commands.audition(out, title=title, options=RunOptions(jobs, listener=bars))
        rows = folder_commands.voices(out, title)
        files = write_reels(out, rows, format_) if audition else []
        if json:
            say_json({"voices": [row.model_dump() for row in rows], "files": [str(file) for file in files]})
            return
        from services.cli.terminal.tables import voice_table

        console.print(voice_table(rows))
        for file in files:
            console.print(str(file), highlight=False, soft_wrap=True, markup=False)


def write_reels(out: Path, rows: list[CastVoice], kind: Literal["mp3", "ogg", "wav"]) -> list[Path]:
    """A file for every speaker and language of which there is an audition."""
    from shared.core.storage_errors import storage_errors
    from shared.media.listening import audition_reel
    from shared.media.sound_formats import encode
    from shared.pipeline.folder_commands import audition_pieces
    from shared.schemas import layout
    from shared.schemas.digital_source import COMPOSITE, mark

    files = []
    for row in rows:
        if not row.auditioned:
            continue
        sound = out / layout.audition_path(row.title, row.language, "flac")
        reel = audition_reel(sound, audition_pieces(out, row.title, row.language), row.speaker)
        tags = {"title": f"{row.title}: {row.speaker} in {row.language}", **mark(COMPOSITE, (row.language,))}
        file = sound.with_name(f"{row.language}.{row.speaker}.{kind}")
        with storage_errors("the output folder"):
            file.write_bytes(encode(reel, kind, tags))
        files.append(file)
    return files


def line(
    out: Annotated[Path, typer.Argument(help="Output folder of an earlier run.")],
    utterance: Annotated[str, typer.Option(help="Id of the line, such as u0003.")],
    lang: Annotated[str, typer.Option("--lang", "-l", help="Language it is spoken in, or orig.")],
    alone: Annotated[bool, typer.Option("--alone", help="The speech without the background.")] = False,
    format_: SoundFile = "mp3",
    to: Annotated[Path | None, typer.Option(help="File to write; beside the title's auditions when absent.")] = None,
    title: Title = None,
    json: Json = False,
) -> None:
    """Write one line as it is heard on its track to a file of its own."""
    with with_extra("listening", json):
        from shared.core import languages
        from shared.core.storage_errors import storage_errors
        from shared.media.listening import line_sound
        from shared.media.sound_formats import encode
        from shared.pipeline.folder_commands import line_place
        from shared.schemas import layout
        from shared.schemas.digital_source import mark, speech_source, track_source

        track = lang if lang == layout.ORIG else languages.code(lang)
        name, start, end = line_place(out, utterance, track, title)
        speech = layout.speech_path(name, track) or layout.stem_path(name, "vocals")
        source = (speech_source if alone and track != layout.ORIG else track_source)(track)
        sound = line_sound(out / (speech if alone else layout.track_path(name, track)), start, end)
        file = to or out / name / "lines" / f"{track}.{utterance}.{format_}"
        tags = {"title": f"{name}: {utterance} in {track}", **mark(source, (track,))}
        with storage_errors("the sound of the line"):
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(encode(sound, format_, tags))
        say_json({"file": str(file), "title": name, "start": start, "end": end}) if json else console.print(
            str(file), highlight=False, soft_wrap=True, markup=False
        )
