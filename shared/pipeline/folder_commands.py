"""What people ask of an output folder: dub these videos, change that line.

The command line, notebooks and services call these functions; :mod:`shared.pipeline.run` does the work.
"""

from __future__ import annotations

import logging
import signal
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from shared.core import languages as codes
from shared.core.edits import check_line, edit_of, wanted_text
from shared.core.errors import EngineError, InputError, UsageError
from shared.core.records import AuditionPiece, DubbedUtterance, Utterance, read_json, read_jsonl, read_list
from shared.core.stop_signals import stop_signals
from shared.core.voices import CastVoice, speaker_voices
from shared.engines.protocols import engine_class
from shared.engines.requirements import Lack, lacks
from shared.ledger.tables import Job, StageRun, Title
from shared.pipeline import publish
from shared.pipeline.local_executor import Executor
from shared.pipeline.planner import ORIG
from shared.pipeline.run import (
    LEDGER,
    STATE,
    EnteredRun,
    PendingEdit,
    RunOptions,
    RunSummary,
    begin_run,
    lay_out,
    open_store,
    opened,
    run_titles,
    titles,
    whole_run,
)
from shared.pipeline.stage import Scope, stage, stage_names
from shared.pipeline.task_work import EnginePool
from shared.pipeline.title_names import find_videos, unique_name
from shared.schemas import layout as paths
from shared.schemas.provenance import Verification, signer, verify
from shared.settings.models import Settings, stored_settings
from shared.transcripts.given_texts import SUBTITLE_CHOICES, GivenTexts, asked_translations, unknown_subtitles
from shared.weights import WeightFolder
from shared.weights.hub_trust import pulled_folder
from shared.weights.known_models import is_repository
from shared.weights.needed_models import Use, missing_models, needed_names

log = logging.getLogger(__name__)


def dub(
    inputs: Sequence[str],
    languages: Sequence[str],
    out: Path,
    settings: Settings,
    *,
    given: GivenTexts = GivenTexts(),  # noqa: B008 - a tuple
    options: RunOptions = RunOptions(),  # noqa: B008 - frozen
) -> RunSummary:
    """Dub videos into ``languages`` and lay the pairs out below ``out``.

    Titles and languages of earlier runs into the same folder stay part of the data set; a fresh run does the work of
    the named inputs anew.

    Raises:
        UsageError: Unknown language, engine or input.
        CounterdubError: The run as a whole could not go on; finished work is kept.
    """
    wanted = list(dict.fromkeys(codes.code(language) for language in languages))
    if not wanted:
        raise UsageError("Name at least one language with --lang.", code="no_language")
    videos = find_videos(inputs)
    given = checked_texts(given, wanted, len(videos))
    check_engines(settings, wanted)
    signer(settings.provenance.signing_key)
    with (
        stop_signals(threading.Event(), signal.SIGINT) as cancelled,
        opened(out, settings.store.lock_timeout_s) as database,
    ):
        with database.write() as session:
            job = begin_run(session, settings, wanted)
            for video in videos:
                register(session, job, video, given, options.fresh)
        sources = {str(video) for video in videos}
        return run_titles(out, database, settings, EnteredRun(job.id, sources), options, cancelled)


def checked_texts(given: GivenTexts, wanted: Sequence[str], videos: int) -> GivenTexts:
    """Texts with absolute paths, by ISO 639-1 codes, where they are there and can be used.

    Raises:
        UsageError: ``transcript_needs_one_video``, ``translation_needs_one_video``, ``bad_transcript``,
            ``bad_translation``, ``unknown_language``, ``translation_not_asked``, ``unknown_subtitles``.
    """
    translations = asked_translations(given.translations, wanted)
    for kind, files in (
        ("transcript", [given.transcript] if given.transcript else []),
        ("translation", list(translations.values())),
    ):
        if files and videos != 1:
            raise UsageError(f"A {kind} can be given for one video at a time.", code=f"{kind}_needs_one_video")
        for file in files:
            if not file.is_file():
                raise UsageError(f"There is no {kind} “{file}”.", code=f"bad_{kind}")
    if given.subtitles not in (None, *SUBTITLE_CHOICES):
        raise unknown_subtitles(str(given.subtitles))
    return GivenTexts(
        given.transcript and given.transcript.absolute(),
        {language: file.absolute() for language, file in translations.items()},
        given.subtitles,
    )


def redub(
    out: Path,
    utterance: str,
    language: str,
    text: str,
    *,
    title: str | None = None,
    options: RunOptions = RunOptions(),  # noqa: B008 - frozen
) -> RunSummary:
    """Replace one line's translation and redo what depends on it, nothing else.

    Raises:
        UsageError: ``unknown_title``, ``unknown_utterance``, ``unknown_language``, ``no_run``, ``empty_text``,
            ``long_text``, or ``dropped_line`` for a line that is not spoken.
        InputError: ``source_missing`` when the video is no longer where it was.
        CounterdubError: What went wrong, ``text_not_spoken`` when the text cannot be spoken: the folder is as it was.
    """
    if not (out / STATE / LEDGER).exists():
        raise UsageError("This folder holds no run of counterdub.", code="no_run")
    target, translation = codes.code(language), wanted_text(text)
    with stop_signals(threading.Event(), signal.SIGINT) as cancelled, opened(out) as database:
        with database.write() as session:
            record = chosen_title(titles(session), title)
            if target not in record.languages:
                raise UsageError(f"{record.name} was not dubbed into {target}.", code="unknown_language")
            lines = spoken(out, record.name)
            line = next((line for line in lines if line.id == utterance), None)
            if line is None:
                raise UsageError(f"{record.name} has no utterance “{utterance}”.", code="unknown_utterance")
            check_line(line)
            source = source_of(record)
            settings = own_settings(session, record)
            new = PendingEdit(
                record.id, target, edit_of(line, translation), [line for line in lines if line.status == "ok"]
            )
            job = begin_run(session, settings, record.languages)
        entered = EnteredRun(job.id, {str(source)}, new)
        return run_titles(out, database, settings, entered, options, cancelled)


def audition(
    out: Path,
    *,
    title: str | None = None,
    options: RunOptions = RunOptions(),  # noqa: B008 - frozen
) -> RunSummary:
    """Speak a line of every speaker with the chosen voice and the next best ones, and lay them out to be heard.

    Args:
        title: All titles when absent.

    Raises:
        UsageError: ``no_run``, ``unknown_title``.
        InputError: ``source_missing`` when a video is no longer where it was.
    """
    if not (out / STATE / LEDGER).exists():
        raise UsageError("This folder holds no run of counterdub.", code="no_run")
    with stop_signals(threading.Event(), signal.SIGINT) as cancelled, opened(out) as database:
        with database.write() as session:
            records = [chosen_title(titles(session), title)] if title else titles(session)
            if not records:
                raise UsageError("This folder holds no run of counterdub.", code="no_run")
            for record in records:
                source_of(record)
                own = own_settings(session, record)
                wanted = own.auditions.model_copy(update={"wanted": True})
                record.settings = own.model_copy(update={"auditions": wanted}).model_dump(mode="json")
            # Titles that were dubbed with other settings keep their own: each such group is a run.
            groups: dict[str, tuple[Settings, list[Title]]] = {}
            for record in records:
                settings = readable(record.settings or {})
                groups.setdefault(settings.model_dump_json(), (settings, []))[1].append(record)
            runs = [
                (
                    settings,
                    begin_run(
                        session, settings, list(dict.fromkeys(code for one in group for code in one.languages))
                    ).id,
                    {str(one.source) for one in group},
                )
                for settings, group in groups.values()
            ]
        for settings, job_id, sources in runs:
            summary = run_titles(out, database, settings, EnteredRun(job_id, sources), options, cancelled)
        return summary


def voices(out: Path, title: str | None = None) -> list[CastVoice]:
    """The voice of every speaker of the folder's titles, language by language.

    Raises:
        UsageError: ``no_run``, ``unknown_title``.
    """
    rows = []
    for record in laid_out(out, title):
        name = record["title"]
        source = (record.get("source_language") or {}).get("language")
        for language, members in (record.get("cast") or {}).items():
            path = out / paths.utterances_path(name, language, source)
            lines = [line.model_dump() for line in read_jsonl(path, DubbedUtterance)] if path.exists() else []
            rows += speaker_voices(name, language, members or [], lines, audition_pieces(out, name, language))
    return rows


def audition_pieces(out: Path, title: str, language: str) -> list[AuditionPiece]:
    """What can be heard of a language's voices; nothing when there was no audition."""
    path = out / paths.audition_path(title, language, "json")
    return read_list(path, AuditionPiece) if path.exists() else []


def verify_provenance(out: Path, title: str | None = None) -> dict[str, Verification]:
    """Whether the files of a folder's titles are still what their ``provenance.json`` says; by title.

    Raises:
        UsageError: ``no_run``, ``unknown_title``, or ``no_provenance`` where an earlier version made a title.
    """
    verdicts = {}
    for record in laid_out(out, title):
        path = out / record["title"] / "provenance.json"
        if not path.exists():
            message = f"{record['title']} has no provenance.json: run its command again with this version."
            raise UsageError(message, code="no_provenance")
        verdicts[record["title"]] = verify(out, read_json(path))
    return verdicts


def laid_out(out: Path, title: str | None) -> list[dict[str, Any]]:
    """``title.json`` of the titles in a folder, or of one of them, by name.

    Raises:
        UsageError: ``no_run``, ``unknown_title``.
    """
    records = {path.parent.name: dict(read_json(path)) for path in sorted(out.glob("*/title.json"))}
    if not records:
        raise UsageError("This folder holds no run of counterdub.", code="no_run")
    if title is not None and title not in records:
        raise UsageError(f"There is no title “{title}” here: {', '.join(records)}.", code="unknown_title")
    return [records[title]] if title is not None else list(records.values())


def line_place(out: Path, utterance: str, language: str, title: str | None = None) -> tuple[str, float, float]:
    """Where a line is heard on its track: the title, seconds at which it starts and ends.

    Args:
        language: Of a dub, or ``orig``.

    Raises:
        UsageError: ``no_run``, ``unknown_title``, ``unknown_language``, ``unknown_utterance``, ``silent_line``.
    """
    records = laid_out(out, title)
    if len(records) != 1:
        raise UsageError(
            f"Say which title with --title: {', '.join(one['title'] for one in records)}.", code="unknown_title"
        )
    [record] = records
    name, source = record["title"], (record.get("source_language") or {}).get("language")
    track = ORIG if language == ORIG else codes.code(language)
    path = out / paths.utterances_path(name, track, source)
    if not path.exists():
        raise UsageError(f"{name} was not dubbed into {language}.", code="unknown_language")
    kind: type[Utterance | DubbedUtterance] = Utterance if track == ORIG else DubbedUtterance
    line = next((line for line in read_jsonl(path, kind) if line.id == utterance), None)
    if line is None:
        raise UsageError(f"{name} has no utterance “{utterance}”.", code="unknown_utterance")
    if line.end <= line.start:
        raise UsageError(f"Nothing is heard of {utterance} in {language}.", code="silent_line")
    return name, line.start, line.end


def chosen_title(records: Sequence[Title], name: str | None) -> Title:
    """The title of that name, or the only one there is."""
    names = ", ".join(record.name for record in records)
    if name is None and len(records) != 1:
        raise UsageError(f"Say which title with --title: {names}.", code="unknown_title")
    for record in records:
        if name is None or record.name == name:
            return record
    raise UsageError(f"There is no title “{name}” here: {names}.", code="unknown_title")


def source_of(record: Title) -> Path:
    """A title's video.

    Raises:
        InputError: ``source_missing``.
    """
    source = Path(record.source or "")
    if not source.is_file():
        raise InputError(
            f"The video “{source.name}” of {record.name} is no longer where it was: put it back.",
            code="source_missing",
        )
    return source


def spoken(out: Path, title: str) -> list[Utterance]:
    """A title's utterances in the source language."""
    folder = out / title / "utterances"
    record = publish.read_json_if_there(out / title / "title.json")
    language = ((record or {}).get("source_language") or {}).get("language")
    path = folder / f"{language or ORIG}.jsonl"
    return read_jsonl(path, Utterance) if path.exists() else []


def register(session: Session, job: Job, video: Path, given: GivenTexts, fresh: bool) -> None:
    """Enter a video into the ledger, or add the run's languages to the title it already is. It has the run's settings.

    Args:
        given: Takes the place of what was given before; what is not given stays.
        fresh: The run's languages take the place of those before.
    """
    text = {"path": str(given.transcript)} if given.transcript else None
    translations = {language: {"path": str(file)} for language, file in given.translations.items()}
    records = titles(session)
    for record in records:
        if record.source == str(video):
            record.languages = (
                list(job.languages) if fresh else list(dict.fromkeys([*record.languages, *job.languages]))
            )
            record.transcript = text or record.transcript
            record.translations = {**(record.translations or {}), **translations} or None
            record.subtitles = given.subtitles or record.subtitles
            record.settings = job.settings
            return
    title = Title(
        job_id=job.id,
        position=len(records),
        name=unique_name(video.stem, [record.name for record in records]),
        source_kind="path",
        source=str(video),
        source_name=video.name[:255],
        transcript=text,
        translations=translations or None,
        subtitles=given.subtitles,
        languages=list(job.languages),
        settings=job.settings,
        state="waiting",
    )
    session.add(title)
    session.flush()


def used_engines(settings: Settings, languages: Sequence[str]) -> list[Use]:
    """Class and options of every engine that these settings use for these languages, each once.

    Raises:
        UsageError: ``unknown_engine``.
        EngineError: ``engine_missing``.
    """
    uses = {
        (use.kind, use.name, repr(use.options)): use
        for name in stage_names()
        for language in languages
        for use in stage(name).engines(settings, Scope(language=language, chunk=0)).values()
    }
    return [(engine_class(use.kind, use.name), use.options) for use in uses.values()]


def needed_models(settings: Settings, languages: Sequence[str]) -> list[str]:
    """Names of the models that these settings load for these languages: of the registry and of a hub.

    Raises:
        UsageError: ``unknown_language``, ``unknown_engine``.
    """
    wanted = list(dict.fromkeys(codes.code(language) for language in languages))
    return needed_names(used_engines(settings, wanted), wanted)


def check_engines(settings: Settings, languages: Sequence[str]) -> None:
    """Fail before any work when an engine is unknown or cannot work here, saying all that is missing at once.

    Raises:
        UsageError: ``unknown_engine``, ``unsupported_language``.
        EngineError: ``weights_missing``, ``weights_damaged``, ``engine_missing``; of several, the first one's.
    """
    kinds = used_engines(settings, languages)
    found = [lack for kind, options in kinds for lack in lacks(kind, options, languages)]
    weights = WeightFolder()
    for name in needed_names(kinds, languages):
        try:
            # A hub's that is not here has been said; one that is must be as it was.
            pulled_folder(name) if is_repository(name) else weights.path(name)
        except EngineError as error:
            found.append(Lack(error.code, error.message))
    if not found:
        return
    found = list(dict.fromkeys(found))
    message = found[0].message
    if len(found) > 1:
        message = "\n".join(["Not all that these settings need is here:", *(f"- {lack.message}" for lack in found)])
    if fetched := [model.name for model in missing_models(kinds, languages).models if is_repository(model.name)]:
        message += f"\n`counterdub models pull {' '.join(fetched)}` fetches what a hub has of it."
    kind = UsageError if found[0].code == "unsupported_language" else EngineError
    raise kind(message, code=found[0].code, lacking=[lack._asdict() for lack in found])


def rebuild_report(out: Path) -> Path:
    """Make the tables and the report again from what the folder holds.

    Raises:
        UsageError: ``no_run``.
    """
    if not (out / STATE / LEDGER).exists():
        raise UsageError("This folder holds no run of counterdub.", code="no_run")
    with opened(out) as database:
        with database.read() as session:
            settings = last_settings(session)
        store = open_store(out, settings)
        executor = Executor(store, EnginePool(WeightFolder()), settings, lambda event: None, fresh=True)
        lay_out(out, store, [], whole_run(out, database, executor), settings)
    return out / "report.html"


def own_settings(session: Session, title: Title) -> Settings:
    """The settings that a title was dubbed with last; of folders of earlier versions by the runs that worked on it."""
    if title.settings is not None:
        return readable(title.settings)
    runs = select(Job).join(StageRun, StageRun.job_id == Job.id).where(StageRun.title_id == title.id)
    job = session.scalars(runs.order_by(Job.created.desc()).limit(1)).first()
    return readable(job.settings) if job is not None else last_settings(session)


def last_settings(session: Session) -> Settings:
    """The settings of the folder's latest run."""
    job = session.scalars(select(Job).order_by(Job.created.desc()).limit(1)).first()
    return readable(job.settings) if job is not None else Settings()


def readable(stored: Mapping[str, Any]) -> Settings:
    settings, unread = stored_settings(stored)
    if unread:
        log.warning("settings of the folder that this version does not know: %s", ", ".join(unread))
    return settings
