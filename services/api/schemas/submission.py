"""From the body of ``POST /v1/jobs`` to what the job is made of: checked, and with its files in the store."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Any, TypeVar
from urllib.parse import unquote, urlsplit

from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ValidationError

from services.api.http.multipart import Form, SentFile
from services.api.http.problems import Refused
from services.api.schemas.jobs import NewJob, UploadSource, UrlSource, Wish
from services.api.uploads.tus_headers import safe_label
from shared.core import languages as codes
from shared.core.errors import UsageError
from shared.core.store import Blob, Store
from shared.engines.protocols import registered
from shared.pipeline.licences import engines, require
from shared.queue.job_commands import VideoSource
from shared.queue.locators import check_locator
from shared.queue.service_settings import ServiceSettings
from shared.settings.models import LimitSettings, Settings, settings_from
from shared.settings.rules import check_caller
from shared.settings.setting_rules import RULES
from shared.transcripts.given_texts import asked_translations
from trainer.service import recipe_orders

ModelT = TypeVar("ModelT", bound=BaseModel)

JSON_FIELDS = ("settings", "webhook")
PLAIN_FIELDS = ("profile", "name", "then_train", "subtitles", "transcript")
TRANSLATION = "translation."
"""Before a language: the field with its translation."""


@dataclass(frozen=True)
class SentTexts:
    """What came as text with a form. ``translations``: language, as it was written, → text."""

    transcript: str | None = None
    translations: Mapping[str, str] = field(default_factory=dict)


@dataclass
class Submission:
    """A request that can be entered as a job."""

    wish: Wish
    languages: list[str]
    settings: Settings
    sources: Callable[[], list[VideoSource]] = list
    """Gives the videos; takes uploads, so it is called once."""
    files: Sequence[str] = ()
    """Hashes of files that came with the request."""

    def fingerprint(self) -> dict[str, Any]:
        """All that makes the request what it is."""
        return {"wish": self.wish.model_dump(mode="json"), "files": list(self.files)}


def parse_json(body: bytes) -> Any:
    """A JSON value that every database can hold.

    Raises:
        Refused: ``bad_request`` (422).
    """
    try:
        value = json.loads(body)
        clean(value)
    except (ValueError, RecursionError) as error:
        raise Refused(422, "bad_request", "The body is not JSON as it must be (UTF-8, finite numbers).") from error
    return value


def clean(value: Any) -> None:
    """Refuse what JSON can say and databases cannot take: NUL, halves of characters, infinite numbers."""
    if isinstance(value, str):
        if "\x00" in value:
            raise ValueError
        value.encode()
    elif isinstance(value, float):
        if not math.isfinite(value):
            raise ValueError
    elif isinstance(value, dict):
        for key, item in value.items():
            clean(key)
            clean(item)
    elif isinstance(value, list):
        for item in value:
            clean(item)


def validated(model: type[ModelT], value: Any) -> ModelT:
    try:
        return model.model_validate(value)
    except ValidationError as error:
        raise RequestValidationError([{**item, "loc": ("body", *item["loc"])} for item in error.errors()]) from error


def form_fields(form: Form) -> tuple[dict[str, Any], SentTexts]:
    """The fields of a multipart form as the members of :class:`Wish`, and the texts of transcript and translations."""
    wish: dict[str, Any] = {}
    translations: dict[str, str] = {}
    languages: list[str] = []
    for name, text in form.fields:
        if name == "languages":
            languages += [part.strip() for part in text.split(",") if part.strip()]
        elif name in JSON_FIELDS:
            wish[name] = parse_json(text.encode())
        elif name in PLAIN_FIELDS:
            wish[name] = text
        elif name.startswith(TRANSLATION):
            clean(text)
            translations[name.removeprefix(TRANSLATION)] = text
        else:
            known = ", ".join(("languages", *JSON_FIELDS, *PLAIN_FIELDS, f"{TRANSLATION}LANGUAGE"))
            raise Refused(422, "bad_request", f"There is no field “{name}”. There are video, {known}.")
    clean(wish_text := wish.pop("transcript", None))
    return {**wish, "languages": languages}, SentTexts(wish_text, translations)


def check_wish(wish: Wish) -> Submission:
    """Languages, settings, engines and recipe, before anything is stored.

    Raises:
        UsageError: ``unknown_language``, ``unknown_profile``, ``bad_setting``, ``unknown_engine``, ``unknown_recipe``.
    """
    languages = list(dict.fromkeys(codes.code(language) for language in wish.languages))
    settings = checked_settings(wish.profile, wish.settings)
    if wish.then_train is not None:
        recipe_orders.known(wish.then_train)
    return Submission(wish, languages, settings)


def check_translations(job: NewJob, languages: Sequence[str]) -> None:
    """Refuse translations of languages that are not asked for, before any upload is taken.

    Raises:
        UsageError: ``unknown_language``, ``translation_not_asked``, ``bad_translation``.
    """
    for source in job.sources:
        asked_translations(source.translations, languages)


def checked_settings(profile: str, sections: Mapping[str, Any]) -> Settings:
    """A caller's settings: those that callers may set, within bounds; limits of media can only be lowered.

    Raises:
        UsageError: ``bad_setting``, ``unknown_profile``, ``unknown_engine``, ``licence_not_accepted``.
    """
    settings, own = settings_from(profile, sections), settings_from(profile, {})
    check_caller(sections, settings, RULES)
    for name in LimitSettings.model_fields:
        if not getattr(settings.limits, name) <= getattr(own.limits, name):
            raise UsageError(f"Setting “limits.{name}” can only be lowered.", code="bad_setting", key=f"limits.{name}")
    for kind, name in engines(settings):
        if name not in registered(kind):
            known = ", ".join(sorted(registered(kind))) or "none"
            raise UsageError(f"There is no {kind} engine “{name}” (known: {known}).", code="unknown_engine")
    require(settings)
    return settings


def sent_sources(
    form: Form, texts: SentTexts, languages: Sequence[str], store: Store, folder: Path
) -> list[VideoSource]:
    """The videos of a form, stored.

    Raises:
        UsageError: ``transcript_needs_one_video``, ``translation_needs_one_video``, ``unknown_language``,
            ``translation_not_asked``, ``bad_translation``.
    """
    videos = [file for file in form.files if file.field == "video"]
    transcripts = [file for file in form.files if file.field == "transcript"]
    translated = [file for file in form.files if file.field.startswith(TRANSLATION)]
    if len(videos) + len(transcripts) + len(translated) != len(form.files):
        raise Refused(422, "bad_request", f"Files go into the fields video, transcript and {TRANSLATION}LANGUAGE.")
    if not videos:
        raise Refused(422, "no_input", "Send at least one file in the field video.")
    if len(transcripts) + (texts.transcript is not None) > (len(videos) == 1):
        raise UsageError("A transcript can be given for one video at a time.", code="transcript_needs_one_video")
    if (translated or texts.translations) and len(videos) != 1:
        raise UsageError("A translation can be given for one video at a time.", code="translation_needs_one_video")
    names = [file.field.removeprefix(TRANSLATION) for file in translated]
    if len({*names, *texts.translations}) != len(names) + len(texts.translations):
        raise UsageError("Two translations are given for one language.", code="bad_translation")
    sent: dict[str, SentFile | str] = {**dict(zip(names, translated, strict=True)), **texts.translations}
    wanted = asked_translations(sent, languages)
    for file in form.files:
        if not file.size:
            raise Refused(422, "empty_file", f"The file in the field {file.field} has no bytes.")
    given = stored_file(store, transcripts[0], "transcript") if transcripts else None
    if texts.transcript is not None:
        given = stored_text(store, texts.transcript, folder)
    translations = {
        language: stored_file(store, text, "translation")
        if isinstance(text, SentFile)
        else store_text(store, text, folder)
        for language, text in wanted.items()
    }
    return [
        VideoSource(
            "upload",
            label(video.name),
            blob=stored_file(store, video, "video"),
            transcript=given,
            translations=translations,
        )
        for video in videos
    ]


def stored_file(store: Store, file: SentFile, fallback: str) -> Blob:
    return store.add(label(file.name, fallback), file.path, move=True)


def stored_text(store: Store, text: str | None, folder: Path) -> Blob | None:
    """A transcript that came as text. Its kind shows in what it says, not in its name."""
    return None if text is None else store_text(store, text, folder)


def store_text(store: Store, text: str, folder: Path) -> Blob:
    path = folder / "transcript"
    path.write_text(text, encoding="utf-8")
    return store.add("transcript.txt", path, move=True)


def named_sources(
    job: NewJob,
    languages: Sequence[str],
    taken: Sequence[Blob],
    settings: ServiceSettings,
    store: Store,
    folder: Path,
) -> list[VideoSource]:
    """The videos that a JSON body names. ``taken``: those of its uploads, in order."""
    uploads = iter(taken)
    sources = []
    for source in job.sources:
        transcript = stored_text(store, source.transcript, folder)
        asked = asked_translations(source.translations, languages)
        translations = {language: store_text(store, text, folder) for language, text in asked.items()}
        if isinstance(source, UploadSource):
            blob = next(uploads)
            video = VideoSource("upload", label(source.name or blob.name), blob=blob)
        elif isinstance(source, UrlSource):
            check_locator("url", source.url, settings)
            name = label(source.name or unquote(PurePosixPath(urlsplit(source.url).path).name))
            video = VideoSource("url", name, locator=source.url)
        else:
            check_locator("path", source.path, settings)
            video = VideoSource("path", label(PurePosixPath(source.path).name), locator=source.path)
        sources.append(replace(video, transcript=transcript, translations=translations))
    return sources


def label(name: str, fallback: str = "video") -> str:
    """:func:`services.api.uploads.tus_headers.safe_label`, or the fallback where nothing of a name is left."""
    return safe_label(name) if name.strip("./\\ ") else fallback
