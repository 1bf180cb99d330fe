"""All settings in one place: one model a stage, defaults of the ``cpu`` profile.

Order of precedence, last wins: built-in defaults, ``--profile``, ``--config file.toml``, ``--set key=value``.
The part of the settings that a stage reads enters the hash of its results, so changing a threshold redoes the stage
that uses it and nothing else.
"""

from __future__ import annotations

import copy
import tomllib
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from shared.core.errors import UsageError
from shared.settings.rules import check_values
from shared.settings.setting_rules import RULES


class Section(BaseModel):
    # Defaults are validated too, so that 300 and 300.0 cannot hash differently.
    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)


class LimitSettings(Section):
    """What untrusted media may ask of the machine."""

    max_bytes: int = Field(20 * 2**30, description="Size of a submitted file.")
    max_seconds: float = Field(6 * 3600, description="Duration of a title.")
    max_pixels: int = Field(8192 * 4320, description="Width × height of the picture.")
    max_audio_channels: int = 64
    probe_timeout_s: float = Field(30, description="Opening and probing one file.")
    decode_timeout_factor: float = Field(2.0, description="Decoding may take this many times the duration, plus 60 s.")


class IngestSettings(Section):
    detector: str = Field("transnetv2", description="Shot detection engine: transnetv2, or adaptive for cuts alone.")
    min_shot_frames: int = Field(6, description="Shorter runs of frames are flashes, not shots.")
    chunk_seconds: float = Field(300, description="Aim for the length of a chunk.")
    vad: str = "silero"
    video_stream: int | None = Field(None, description="Stream of the file that the picture is; chosen when absent.")
    audio_stream: int | None = Field(None, description="Stream of the file that the sound is; chosen when absent.")


class SeparationSettings(Section):
    engine: str = "spleeter"
    model: str = ""
    extra: dict[str, Any] = Field({}, description="Options of the engine itself: dtype, batch_size, allow_download …")
    context_seconds: float = Field(1.0, description="Sound heard before and after a chunk, then thrown away.")
    device: str = "cpu"
    threads: int = 2


class TranscriptionSettings(Section):
    engine: str = "faster-whisper"
    model: str = "base"
    extra: dict[str, Any] = Field({}, description="Options of the engine itself: dtype, batch_size, allow_download …")
    embedder: str = "resemblyzer"
    vad: str = "silero"
    language: str | None = Field(None, description="Source language, ISO 639-1; detected when absent.")
    max_speakers: int = 12
    speaker_threshold: float = Field(0.67, description="Voices nearer than this mean cosine are one speaker.")
    split_gap_seconds: float = Field(0.5, description="A pause between words longer than this ends an utterance.")
    max_utterance_seconds: float = 12.0
    min_alphanumerics: int = 2
    min_mean_logprob: float = Field(-1.5, description="Hallucination gate together with repetition.")
    max_phrase_share: float = Field(0.7, description="Share of the characters one repeated phrase may take.")
    min_speech_share: float = Field(0.05, description="Of a chunk over 30 s; below it the text is not believed.")
    device: str = "cpu"
    threads: int = 2
    beam_size: int = 5


class TranslationSettings(Section):
    engine: str = "llama"
    model: str = ""
    extra: dict[str, Any] = Field({}, description="Options of the engine itself: dtype, batch_size, allow_download …")
    by_language: dict[str, str] = Field({}, description="Another engine for one target language: {pt = 'firefox'}.")
    hypotheses: int = Field(3, description="Candidates kept for one line.")
    context_lines: int = Field(2, description="Neighbouring lines shown to engines that can use them.")
    length_tolerance: float = Field(0.10, description="Aim for the source's spoken length within this share.")
    glossary: dict[str, str] = {}
    device: str = "cpu"
    threads: int = 2
    seed: int = 0


class FitSettings(Section):
    """How speech is made to fit its slot. Defaults and reasons: docs/fitting.md."""

    same_speaker_gap: float = Field(0.5, description="Share of the gap to the next line that may be borrowed.")
    other_speaker_gap: float = 0.7
    guard_seconds: float = Field(0.08, description="Kept free before the next line.")
    free_low: float = Field(0.92, description="Between these ratios the first synthesis is taken as it is.")
    free_high: float = 1.15
    accept_low: float = Field(0.85, description="Tempo change that still sounds natural.")
    accept_high: float = 1.15
    hard_low: float = 0.80
    hard_high: float = 1.30
    max_retries: int = 2


class GuardSettings(Section):
    """When speech of an engine that draws it (XTTS) is not believed: it may go on after its text, or lose words."""

    longest: float = Field(1.8, description="Times the length that the text should take, plus half a second.")
    shortest: float = Field(0.4, description="Of the length that the text should take.")
    recognizer: str | None = Field(None, description="Recognition engine that listens to every take again.")
    recognizer_model: str = "base"
    max_error: float = Field(0.5, description="Character error rate from which on a take is not believed.")
    new_seeds: int = Field(2, description="Takes drawn anew before another engine or the best take is used.")
    fallback: str | None = Field(None, description="Synthesis engine that speaks when no take is believed.")


class DubbingSettings(Section):
    engine: str = "kokoro"
    model: str = ""
    extra: dict[str, Any] = Field({}, description="Options of the engine itself: dtype, batch_size, allow_download …")
    embedder: str = "resemblyzer"
    reference: Literal["title", "line"] = Field(
        "title",
        description="What engines that clone or convert are shown of a speaker: the best of all lines, or each line.",
    )
    converter: str | None = Field(None, description="Voice conversion engine after synthesis.")
    converter_model: str = ""
    converter_extra: dict[str, Any] = {}
    guard: GuardSettings = GuardSettings()
    timbre_match: bool = Field(True, description="Move the long-term spectrum towards the speaker's.")
    prosody_match: bool = Field(True, description="Let melody and loudness of a line follow the original's.")
    room_match: bool = Field(False, description="Add a synthetic room of the original's reverberation time.")
    voices: dict[str, str] = Field({}, description="Fixed casting: {'S1' = 'af_heart', 'es:S2' = 'em_alex'}.")
    voices_heard: int = Field(4, description="Voices spoken and compared with each speaker when casting; 0: none.")
    same_person_threshold: float = Field(0.80, description="Above this cosine a speaker of a later title is the same.")
    bandwidth_hz: int = Field(12_000, description="All speech, the control's too, is limited to this bandwidth.")
    fit: FitSettings = FitSettings()
    device: str = "cpu"
    threads: int = 2
    seed: int = 0


class PairingSettings(Section):
    min_shot_seconds: float = Field(3.0, description="Shorter shots are left out (paper supplement, A).")
    max_shot_seconds: float = Field(12.0, description="Longer shots are left out (paper supplement, A).")
    true_peak_dbtp: float = Field(-1.0, description="Ceiling of every track; one gain for the whole title.")
    max_overflow_ms: float = 0.0
    max_null_residual_db: float = -60.0
    max_residual_speech: float = Field(0.5, description="Belief that the original is understood in the background.")
    max_loudness_difference_lu: float = 6.0
    max_round_trip_cer: float = 0.5
    min_language_confidence: float = 0.3
    min_isochrony_iou: float = 0.3
    aac_bitrate: int = Field(160_000, description="Of exported tracks, orig included.")
    export_shots: bool = True
    export_mkv: bool = True
    export_mp4: bool = True


class QualitySettings(Section):
    """Checks of the dubbed speech by listening to it again."""

    round_trip: bool = Field(True, description="Hear dubs and the background again; without, nothing is known of them.")
    engine: str = "faster-whisper"
    model: str = "base"
    extra: dict[str, Any] = Field({}, description="Options of the engine itself: dtype, batch_size, allow_download …")
    embedder: str = "resemblyzer"
    vad: str = "silero"
    device: str = "cpu"
    threads: int = 2


class ReportSettings(Section):
    """How much the report shows: it is one file, and everything in it is carried along."""

    max_titles_with_media: int = Field(8, description="Titles shown in detail; the others are rows of a table.")
    max_shots_per_title: int = Field(24, description="Shots with spectrograms and players, spread over the title.")
    max_media_bytes: int = Field(11_000_000, description="Of all spectrograms and previews together.")
    max_lines_per_title: int = Field(600, description="Rows of a title's table of utterances, and of its shots.")
    spectrogram_width: int = Field(640, description="Pixels.")
    spectrogram_height: int = Field(96, description="Pixels, one mel band each.")
    preview_bitrate: int = Field(64_000, description="Of the MP3 previews, one channel.")


class AuditionSettings(Section):
    """Voices to be heard beside the people they speak for; no other stage reads this."""

    wanted: bool = Field(False, description="Speak a line of every speaker with the chosen voice and the next best.")
    alternatives: int = Field(2, description="Next best voices beside the chosen one.")


class ProvenanceSettings(Section):
    """How it is said what is synthetic."""

    signing_key: str | None = Field(None, description="File of an Ed25519 key (PEM) that signs provenance.json.")


class LicenceSettings(Section):
    """What the user agreed to."""

    accepted: list[str] = Field([], description="Licences that forbid commercial use: CPML, CC-BY-NC-4.0.")


class StoreSettings(Section):
    url: str | None = Field(None, description="Artifact store (fsspec URL); OUT/.counterdub/store when absent.")
    lock_timeout_s: float = 0.0


class Settings(Section):
    profile: str = "cpu"
    limits: LimitSettings = LimitSettings()
    ingest: IngestSettings = IngestSettings()
    separation: SeparationSettings = SeparationSettings()
    transcription: TranscriptionSettings = TranscriptionSettings()
    translation: TranslationSettings = TranslationSettings()
    dubbing: DubbingSettings = DubbingSettings()
    quality: QualitySettings = QualitySettings()
    pairing: PairingSettings = PairingSettings()
    auditions: AuditionSettings = AuditionSettings()
    provenance: ProvenanceSettings = ProvenanceSettings()
    licences: LicenceSettings = LicenceSettings()
    report: ReportSettings = ReportSettings()
    store: StoreSettings = StoreSettings()


def load_settings(
    profile: str = "cpu",
    config: Path | None = None,
    overrides: Sequence[str] = (),
) -> Settings:
    """Merge defaults, profile, TOML file and ``key=value`` overrides.

    Raises:
        UsageError: ``unknown_profile``, ``bad_config`` or ``bad_setting``, naming the key.
    """
    data = profile_settings(profile)
    if config is not None:
        try:
            merge(data, tomllib.loads(config.read_text(encoding="utf-8")))
        except OSError as error:
            raise UsageError(f"The settings file cannot be read: {error.strerror}.", code="bad_config") from error
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise UsageError(f"The settings file is not valid TOML: {error}.", code="bad_config") from error
    for override in overrides:
        merge(data, parse_override(override))
    return validated(data)


def settings_from(profile: str, sections: Mapping[str, Any]) -> Settings:
    """A profile's settings with some sections overlaid."""
    data = profile_settings(profile)
    merge(data, dict(sections))
    return validated(data)


def profile_settings(profile: str) -> dict[str, Any]:
    """What a profile sets; the rest is built-in defaults."""
    source = resources.files("shared") / "profiles" / f"{profile}.toml"
    if not profile.isidentifier() or not source.is_file():
        raise UsageError(f"There is no profile “{profile}”.", code="unknown_profile")
    return {"profile": profile, **tomllib.loads(source.read_text(encoding="utf-8"))}


def validated(data: dict[str, Any]) -> Settings:
    """Settings that are asked for now: of their kinds, within the bounds of :mod:`shared.settings.setting_rules`."""
    try:
        settings = Settings.model_validate(data)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        raise UsageError(f"Setting “{key}”: {first['msg']}.", code="bad_setting", key=key) from error
    check_values(settings, RULES)
    return settings


def stored_settings(data: Mapping[str, Any]) -> tuple[Settings, tuple[str, ...]]:
    """Settings as an earlier run or another version wrote them down, and the keys that this version cannot read.

    What was accepted once stays: bounds are for what is asked anew. Keys that are unknown here, or hold another kind
    of value than they may, count as not set.
    """
    left, unread = copy.deepcopy(dict(data)), set[str]()
    while True:
        try:
            return Settings.model_validate(left), tuple(sorted(unread))
        except ValidationError as error:
            # One at a time: what is wrong in two ways is named twice.
            unread.add(drop(left, error.errors()[0]["loc"]))


def drop(data: dict[str, Any], where: Sequence[int | str]) -> str:
    """Take out the innermost table entry on the way to ``where``; its key."""
    parent: dict[str, Any] = {}
    at: Any = data
    reached: list[str] = []
    for part in where:
        if not isinstance(at, dict) or part not in at:
            break
        parent, at = at, at[part]
        reached.append(str(part))
    del parent[reached[-1]]
    return ".".join(reached)


def merge(base: dict[str, Any], extra: dict[str, Any]) -> None:
    """Overlay ``extra`` on ``base`` in place, table by table."""
    for key, value in extra.items():
        if isinstance(value, dict) and isinstance(base.get(key), dict):
            merge(base[key], value)
        else:
            base[key] = value


def parse_override(text: str) -> dict[str, Any]:
    """``"dubbing.fit.hard_high=1.4"`` → nested dict. Values are TOML; a bare word is a string."""
    key, sep, raw = text.partition("=")
    parts = key.strip().split(".")
    if not sep or not all(parts):
        raise UsageError(f"“{text}” is not of the form key=value.", code="bad_setting")
    try:
        value = tomllib.loads(f"value = {raw}")["value"]
    except tomllib.TOMLDecodeError:
        value = raw.strip()
    override = {parts[-1]: value}
    for part in reversed(parts[:-1]):
        override = {part: override}
    return override
