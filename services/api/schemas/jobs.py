"""What goes in and out as JSON. Times are UTC; languages ISO 639-1."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

Text = Annotated[str, StringConstraints(pattern=r"^[^\x00]*$")]
"""Any text but NUL, which no database takes."""
Name = Annotated[Text, Field(max_length=200)]


Translations = Annotated[
    dict[Annotated[Text, Field(max_length=40)], Annotated[Text, Field(max_length=2**20)]], Field(max_length=50)
]
TRANSLATIONS: Any = Field(
    {}, description="Target language → SRT, VTT, ASS or JSON with its text.", examples=[{"es": "1\n00:00:01,000 --> …"}]
)


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class UploadSource(Strict):
    """A video that was uploaded before (`/v1/uploads`, tus)."""

    upload: str = Field(pattern=r"^upl_[0-9a-f]{32}$", description="Id of a finished upload.")
    name: Annotated[Text, Field(max_length=255)] | None = Field(None, description="File name; the upload's if absent.")
    transcript: Text | None = Field(None, max_length=2**20, description="SRT, VTT or JSON with the source text.")
    translations: Translations = TRANSLATIONS


class UrlSource(Strict):
    """A video on the web, or in one of the S3 buckets that the service allows."""

    url: Annotated[Text, Field(max_length=2000, pattern=r"^(https?|s3)://")] = Field(
        examples=["https://example.org/clip.mp4"]
    )
    name: Annotated[Text, Field(max_length=255)] | None = Field(None, description="File name; the URL's if absent.")
    transcript: Text | None = Field(None, max_length=2**20, description="SRT, VTT or JSON with the source text.")
    translations: Translations = TRANSLATIONS


class PathSource(Strict):
    """A video in one of the server's folders that the service allows."""

    path: Annotated[Text, Field(min_length=1, max_length=2000)] = Field(examples=["/videos/clip.mp4"])
    transcript: Text | None = Field(None, max_length=2**20, description="SRT, VTT or JSON with the source text.")
    translations: Translations = TRANSLATIONS


class Webhook(Strict):
    """Where the end of the job is told (standardwebhooks.com)."""

    url: Annotated[Text, Field(max_length=2000, pattern=r"^https?://")] = Field(examples=["https://example.org/hook"])
    secret: Annotated[Text, Field(min_length=8, max_length=100)] | None = Field(
        None, description="Messages are signed with it. Never shown again."
    )


class Wish(Strict):
    """What is asked of the videos, however they come."""

    languages: list[Annotated[Text, Field(max_length=40)]] = Field(
        min_length=1, max_length=50, description="Target languages.", examples=[["es", "fr"]]
    )
    profile: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,31}$")] = Field(
        "cpu", description="Engines and defaults."
    )
    settings: dict[str, Any] = Field(
        {}, description="Sections overlaying the profile.", examples=[{"pairing": {"min_shot_seconds": 2}}]
    )
    subtitles: Literal["embedded"] | None = Field(
        None, description="The videos' own subtitle streams stand for transcripts and translations that are not given."
    )
    name: Name = Field("", description="For people.")
    webhook: Webhook | None = None
    then_train: Annotated[Text, Field(max_length=100)] | None = Field(
        None, description="Recipe to train an encoder with when the data are there."
    )


class NewJob(Wish):
    """A request for dubs of some videos."""

    sources: list[UploadSource | UrlSource | PathSource] = Field(min_length=1, max_length=1000)


class Links(BaseModel):
    self: str
    events: str
    titles: str
    files: str
    pairs: str
    report: str


class Progress(BaseModel):
    """Counts. ``tasks`` grows while the plan does."""

    tasks: int
    tasks_ended: int
    titles: int
    titles_ended: int
    titles_failed: int


class JobOut(BaseModel):
    """A job."""

    id: str = Field(examples=["job_0123456789abcdef0123456789abcdef"])
    name: str
    state: str = Field(description="running, cancelling; done (some titles may have failed), failed (all), cancelled.")
    languages: list[str]
    profile: str
    then_train: str | None
    webhook_url: str | None
    created: datetime
    finished: datetime | None
    events: int = Field(description="Number of the latest event.")
    progress: Progress
    summary: dict[str, Any] = Field(description="Of a finished job: rows accepted and rejected, notes by title.")
    links: Links


class ErrorOut(BaseModel):
    """Why something failed (docs/errors.md)."""

    model_config = ConfigDict(extra="allow")
    code: str
    message: str = ""
    stage: str | None = None
    retryable: bool = False


class TitleOut(BaseModel):
    """One video of a job."""

    name: str
    state: str
    source: str = Field(description="upload, url or path.")
    source_name: str
    languages: list[str]
    error: ErrorOut | None
    tasks_open: int = Field(description="Planned tasks that have not ended.")


class ShotOut(BaseModel):
    """Frames between two camera changes; seconds on the title's clock."""

    index: int
    start: float
    end: float
    clips: dict[str, str] = Field(description="Track → address of the clip. Empty where the shot was not kept.")


class FileOut(BaseModel):
    """A finished file at its place in the output layout (docs/output.md)."""

    path: str
    title: str = Field(description="Empty for files of the whole job.")
    bytes: int
    sha256: str
    href: str


class EventOut(BaseModel):
    """Something that happened in a job."""

    seq: int = Field(description="1, 2, 3 … without a gap.")
    at: datetime
    kind: str
    data: dict[str, Any]


class EventPage(BaseModel):
    items: list[EventOut]
    after: int | None = Field(None, description="Pass it as `after` to get the next page; null on the last one.")


class NewText(Strict):
    """Another text for one line."""

    text: Annotated[Text, Field(min_length=1, max_length=2000)] = Field(examples=["¿Quién está ahí?"])
    title: Name | None = Field(None, description="Which title of the job; not needed where it has one.")


class EngineOut(BaseModel):
    """A model behind a stage."""

    kind: str
    name: str
    licence: str | None = Field(None, description="Of the weights. Absent where the engine is not installed here.")
    commercial_use: bool | None = None
    note: str | None = None


class LanguageOut(BaseModel):
    code: str
    name: str
    native_name: str


class Stats(BaseModel):
    """Of the caller's jobs."""

    jobs: dict[str, int] = Field(description="State → count.")
    titles: dict[str, int] = Field(description="State → count.")
    tasks: dict[str, int] = Field(description="State → count.")
    engine_seconds: dict[str, float] = Field(description="Stage → seconds in engines.")
    pairs_accepted: int
    pairs_rejected: int


class Health(BaseModel):
    status: str = Field(examples=["ok"])
    checks: dict[str, str] = Field({}, description="Part → ok, or what is wrong.")
