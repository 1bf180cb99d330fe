"""Why a row is rejected. The codes are part of the output's schema: add, never rename. Texts: docs/output.md."""

from __future__ import annotations

from enum import StrEnum


class Reason(StrEnum):
    """In order of precedence: a row's ``reason`` is the first that applies, ``reasons`` are all of them."""

    TITLE_FAILED = "title_failed"
    TRACK_FAILED = "track_failed"
    TOO_SHORT = "too_short"
    TOO_LONG = "too_long"
    NO_SPEECH = "no_speech"
    NO_TRANSCRIPT = "no_transcript"
    NULL_RESIDUAL = "null_residual"
    SPEECH_IN_BACKGROUND = "speech_in_background"
    UTTERANCE_FAILED = "utterance_failed"
    OVERFLOW = "overflow"
    WRONG_LANGUAGE = "wrong_language"
    ROUND_TRIP = "round_trip"
    LOUDNESS = "loudness"
    ISOCHRONY = "isochrony"
    NO_COUNTERPART = "no_counterpart"


TEXTS: dict[Reason, str] = {
    Reason.TITLE_FAILED: "The whole title failed; detail says where and why.",
    Reason.TRACK_FAILED: "This language could not be made for the title.",
    Reason.TOO_SHORT: "The shot is shorter than pairing.min_shot_seconds.",
    Reason.TOO_LONG: "The shot is longer than pairing.max_shot_seconds.",
    Reason.NO_SPEECH: "Nobody speaks in the shot, so its tracks would all be the same.",
    Reason.NO_TRANSCRIPT: "Speech is heard in the shot, but no words were recognised.",
    Reason.NULL_RESIDUAL: "Track − speech − background leaves more than pairing.max_null_residual_db.",
    Reason.SPEECH_IN_BACKGROUND: "Words are understood in the background, surer than pairing.max_residual_speech.",
    Reason.UTTERANCE_FAILED: "An utterance of the shot could not be translated or spoken.",
    Reason.OVERFLOW: "Dubbed speech runs past its slot by more than pairing.max_overflow_ms.",
    Reason.WRONG_LANGUAGE: "The recogniser hears another language, surer than pairing.min_language_confidence.",
    Reason.ROUND_TRIP: "The recogniser hears other words: error above pairing.max_round_trip_cer.",
    Reason.LOUDNESS: "Dubbed and original speech differ by more than pairing.max_loudness_difference_lu.",
    Reason.ISOCHRONY: "The dub speaks at other times than the original: IoU below pairing.min_isochrony_iou.",
    Reason.NO_COUNTERPART: "No other track of the shot was accepted, so there is nothing to pair it with.",
}
