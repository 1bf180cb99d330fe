"""A title's sounds piece by piece: to play, to draw, and to compare with one another.

Every piece begins and ends at samples of the title's own clock (48 kHz), so pieces of different tracks fit together
exactly, and a player that has them needs no other clock.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import numpy as np
import soundfile as sf
from fastapi import APIRouter, Path, Query, Request
from pydantic import BaseModel, Field
from sqlalchemy import select
from starlette.responses import Response

from services.api.auth.keys import Caller, Reader
from services.api.auth.ownership import JobId, artifact, one_title, own_job
from services.api.dependencies import Here, Services
from services.api.http.problems import documented, not_found
from services.api.http.stored_files import local_copy, lost_file
from services.api.routes.artifacts import USUAL, TitleName, href, media
from shared.audio.files import length, read_audio
from shared.audio.mel import hertz_to_mel, mel_power
from shared.core.errors import InputError
from shared.core.records import SAMPLE_RATE
from shared.core.store import Blob, Store
from shared.ledger.tables import Artifact
from shared.media.sound_formats import ENCODINGS, encode
from shared.schemas import layout
from shared.schemas.digital_source import ENHANCED, mark, speech_source, track_source

STEMS = ("vocals", "background")
TOP_HERTZ = 16_000
WINDOW = 2048
FLOOR_DB, CEILING_DB = -62.0, 15.0
"""As in the report: silence, and the loudest partials of a mix at full scale."""

router = APIRouter(prefix="/jobs/{job_id}/sounds", tags=["results"])

SoundName = Annotated[
    str,
    Path(
        pattern=r"^(speech\.)?[A-Za-z0-9_-]{1,40}$",
        description="A track (`orig`, `control`, `es`), a stem (`vocals`, `background`), or `speech.` and a track.",
        examples=["es"],
    ),
]
Start = Annotated[float, Query(ge=0, le=86_400, description="Seconds on the title's clock.")]
Minus = Annotated[
    str | None,
    Query(
        pattern=r"^(speech\.)?[A-Za-z0-9_-]{1,40}$",
        description="Another sound, taken off sample by sample: the difference is drawn.",
    ),
]


WHOLE_FLAC = {status: answer for status, answer in media("audio/flac").items() if status not in (206, 416)}
"""``responses=`` of a sound that is made when it is asked for, and not sent in parts."""


WHOLE_SOUND = {
    **WHOLE_FLAC,
    200: {
        "description": "The sound.",
        "content": {
            kind: {"schema": {"type": "string", "format": "binary"}}
            for kind in ("audio/flac", *(encoding.media_type for encoding in ENCODINGS.values()))
        },
    },
}
"""The same, where the caller chooses the format."""

PieceFormat = Literal["flac", "mp3", "ogg", "wav"]


class SoundOut(BaseModel):
    """Something of a title that can be heard."""

    name: str
    kind: str = Field(description="track, stem or speech.")
    track: str | None = Field(description="Whose speech it is, or the track itself; null for stems.")
    sha256: str
    bytes: int
    href: str = Field(description="The whole file (FLAC, 24 bit).")


class PeaksOut(BaseModel):
    """Smallest and largest sample of each of equal parts, in 127ths of full scale."""

    start: float
    seconds: float = Field(description="Less than was asked for where the title ends before.")
    low: list[int]
    high: list[int]


def path_of(title: str, sound: str) -> str:
    """Where a sound lies in the output layout."""
    if sound in STEMS:
        return layout.stem_path(title, sound)
    if sound.startswith("speech."):
        return layout.posix(title, "stems", f"{sound}.flac")
    return layout.track_path(title, sound)


def source_of(sound: str) -> str | None:
    """Digital source type of a sound; None for the original."""
    if sound in STEMS:
        return ENHANCED
    return speech_source(sound.removeprefix("speech.")) if sound.startswith("speech.") else track_source(sound)


@router.get("", operation_id="list_sounds", summary="What of a title can be heard", responses=documented(*USUAL))
def list_sounds(here: Here, caller: Reader, job_id: JobId, title: TitleName = None) -> list[SoundOut]:
    """Tracks first, then stems."""
    with here.database.read() as session:
        job = own_job(session, caller, job_id)
        name = one_title(session, job, title).name
        rows = session.scalars(select(Artifact).where(Artifact.job_id == job.id, Artifact.title == name))
        files = {row.path: row for row in rows if not row.internal and row.path.endswith(".flac")}
    sounds = []
    for folder in ("tracks", "stems"):
        prefix = f"{name}/{folder}/"
        for path in sorted((path for path in files if path.startswith(prefix)), key=order):
            sound = path.removeprefix(prefix).removesuffix(".flac")
            kind = "track" if folder == "tracks" else "stem" if sound in STEMS else "speech"
            track = None if kind == "stem" else sound.removeprefix("speech.")
            row = files[path]
            sounds.append(
                SoundOut(name=sound, kind=kind, track=track, sha256=row.sha256, bytes=row.size, href=href(job_id, path))
            )
    return sounds


def order(path: str) -> tuple[int, str]:
    """The original, the control, then by language; before the speech of all these the stems."""
    name = path.rpartition("/")[2].removesuffix(".flac")
    first = (layout.ORIG, *STEMS, layout.CONTROL, f"speech.{layout.CONTROL}")
    return first.index(name) if name in first else len(first), name


def find_sounds(here: Services, caller: Caller, job_id: str, title: str | None, *sounds: str | None) -> list[Artifact]:
    """The files of some sounds of one title."""
    with here.database.read() as session:
        job = own_job(session, caller, job_id)
        name = one_title(session, job, title).name
        return [artifact(session, job, path_of(name, sound)) for sound in sounds if sound is not None]


@dataclass(frozen=True)
class Excerpt:
    """A stretch of a title's clock, in seconds."""

    start: float
    seconds: float


def read_excerpt(store: Store, file: Artifact | Blob, excerpt: Excerpt) -> np.ndarray:
    """float32 ``[channels, samples]`` of a stored sound; shorter where it ends before.

    Raises:
        Refused: ``artifact_lost`` (404).
    """
    path = local_copy(store, file)
    try:
        first = min(round(excerpt.start * SAMPLE_RATE), length(path)[0])
        return read_audio(path, first, first + round(excerpt.seconds * SAMPLE_RATE))
    except InputError as error:
        raise lost_file("The file in the store is damaged.") from error


def read_mono(store: Store, files: Sequence[Artifact], excerpt: Excerpt) -> np.ndarray:
    """Mono float32 ``[samples]``: the first sound, less the second if there are two."""
    pieces: list[np.ndarray] = [read_excerpt(store, file, excerpt).mean(axis=0) for file in files]
    if len(pieces) == 1:
        return pieces[0]
    shortest = min(len(one) for one in pieces)
    difference: np.ndarray = pieces[0][:shortest] - pieces[1][:shortest]
    return difference


def flac(audio: np.ndarray) -> bytes:
    """``[channels, samples]`` as 16-bit FLAC, for listening."""
    out = io.BytesIO()
    sf.write(out, np.clip(audio, -1, 1).T, SAMPLE_RATE, format="FLAC", subtype="PCM_16", compression_level=0.1)
    return out.getvalue()


def sound_file(audio: np.ndarray, kind: PieceFormat, tags: Mapping[str, str] | None) -> Response:
    """``[channels, samples]`` at 48 kHz as a file to listen to."""
    if kind == "flac":
        return Response(flac(audio), media_type="audio/flac")
    return Response(encode(audio, kind, tags), media_type=ENCODINGS[kind].media_type)


def send_unless_known(
    request: Request, files: Sequence[Artifact | Blob], how: tuple[Any, ...], make: Callable[[], Response]
) -> Response:
    """What ``make`` answers out of files, with an ETag; status 304 where the caller has it already.

    Args:
        how: All that the answer depends on beside the files' contents.
    """
    content = hashlib.sha256(repr([*(file.sha256 for file in files), *how]).encode()).hexdigest()[:32]
    headers = {"ETag": f'"{content}"', "Cache-Control": "private, no-cache"}
    if headers["ETag"] in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    response = make()
    response.headers.update(headers)
    return response


def send_excerpt(
    request: Request,
    store: Store,
    file: Artifact | Blob,
    excerpt: Excerpt,
    silent: str,
    kind: PieceFormat = "flac",
    tags: Mapping[str, str] | None = None,
) -> Response:
    """A stretch of a stored sound to listen to (FLAC of 16 bit unless ``kind`` says otherwise), or status 304.

    Args:
        silent: What is said where the sound ends before the stretch begins.
        tags: What a file in another format than FLAC says of itself.

    Raises:
        Refused: 404, with this message; ``artifact_lost``.
    """

    def make() -> Response:
        audio = read_excerpt(store, file, excerpt)
        if not audio.size:
            raise not_found(silent)
        return sound_file(audio, kind, tags)

    how = ("piece", excerpt.start, excerpt.seconds)
    return send_unless_known(request, [file], how if kind == "flac" else (*how, kind, tags), make)


@router.get(
    "/{sound}/piece",
    operation_id="get_piece",
    summary="A stretch of a sound (48 kHz; FLAC of 16 bit, or compressed)",
    response_class=Response,
    responses=WHOLE_SOUND,
)
def get_piece(
    request: Request,
    here: Here,
    caller: Reader,
    job_id: JobId,
    sound: SoundName,
    title: TitleName = None,
    start: Start = 0.0,
    seconds: Annotated[float, Query(gt=0, le=30)] = 5.0,
    format: Annotated[
        PieceFormat, Query(description="FLAC for pieces that must fit; the others to listen to.")
    ] = "flac",
) -> Response:
    """From sample round(48000 · start) on, as far as there is sound; 404 behind the title's end."""
    [file] = find_sounds(here, caller, job_id, title, sound)
    excerpt = Excerpt(start, seconds)
    return send_excerpt(request, here.store, file, excerpt, "The sound ends before.", format, mark(source_of(sound)))


@router.get(
    "/{sound}/peaks",
    operation_id="get_peaks",
    summary="A waveform to draw",
    response_model=PeaksOut,
    responses={304: {"description": "The caller has this version."}, **documented(*USUAL)},
)
def get_peaks(
    request: Request,
    here: Here,
    caller: Reader,
    job_id: JobId,
    sound: SoundName,
    title: TitleName = None,
    start: Start = 0.0,
    seconds: Annotated[float, Query(gt=0, le=120)] = 10.0,
    points: Annotated[int, Query(ge=1, le=4000)] = 800,
    minus: Minus = None,
) -> Response:
    """Channels are averaged."""
    files = find_sounds(here, caller, job_id, title, sound, minus)

    def make() -> Response:
        audio = read_mono(here.store, files, Excerpt(start, seconds))
        parts = np.array_split(audio, points)
        low = [round(127 * max(-1.0, float(part.min(initial=0.0)))) for part in parts]
        high = [round(127 * min(1.0, float(part.max(initial=0.0)))) for part in parts]
        peaks = PeaksOut(start=start, seconds=len(audio) / SAMPLE_RATE, low=low, high=high)
        return Response(peaks.model_dump_json(), media_type="application/json")

    return send_unless_known(request, files, ("peaks", start, seconds, points), make)


@router.get(
    "/{sound}/spectrogram",
    operation_id="get_spectrogram",
    summary="A mel spectrogram as bytes to colour",
    response_class=Response,
    responses={
        200: {
            "description": "`height` rows of `width` bytes, high notes first, 0 (-62 dB) to 255 (+15 dB); mel bands up "
            "to 16 kHz. The headers `X-Width` and `X-Height` repeat the size, `X-Seconds` says how long a time it is.",
            "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
        },
        304: {"description": "The caller has this version."},
        **documented(*USUAL),
    },
)
def get_spectrogram(
    request: Request,
    here: Here,
    caller: Reader,
    job_id: JobId,
    sound: SoundName,
    title: TitleName = None,
    start: Start = 0.0,
    seconds: Annotated[float, Query(gt=0, le=60)] = 10.0,
    width: Annotated[int, Query(ge=16, le=2000)] = 800,
    height: Annotated[int, Query(ge=32, le=256, multiple_of=32)] = 96,
    minus: Minus = None,
) -> Response:
    """Channels are averaged. Always as wide as asked for: behind the title's end it is silent."""
    files = find_sounds(here, caller, job_id, title, sound, minus)

    def make() -> Response:
        audio = read_mono(here.store, files, Excerpt(start, seconds))
        headers = {"X-Width": str(width), "X-Height": str(height), "X-Seconds": f"{len(audio) / SAMPLE_RATE:.6f}"}
        whole = np.pad(audio, (0, max(0, round(seconds * SAMPLE_RATE) - len(audio))))
        return Response(levels(whole, width, height).tobytes(), headers=headers, media_type="application/octet-stream")

    return send_unless_known(request, files, ("spectrogram", start, seconds, width, height), make)


def levels(audio: np.ndarray, width: int, height: int) -> np.ndarray:
    """``[samples]`` at 48 kHz → dB above the floor as 0–255, uint8 ``[height, width]``, low notes last."""
    hop = max(1, len(audio) // width)
    whole, shown = hertz_to_mel(np.array([SAMPLE_RATE / 2, TOP_HERTZ]))
    power = mel_power(audio, SAMPLE_RATE, WINDOW, hop, round(height * whole / shown))[:, :height]
    chosen = power[np.linspace(0, len(power) - 1, width).round().astype(int)]
    decibels = 10 * np.log10(np.maximum(chosen, 1e-12))
    scaled = (decibels - FLOOR_DB) / (CEILING_DB - FLOOR_DB)
    return np.ascontiguousarray(np.rint(np.clip(scaled, 0, 1) * 255).astype(np.uint8).T[::-1])
