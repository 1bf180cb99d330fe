"""What of the output is synthetic, in IPTC's words (digital source type), and the sentence that files carry for people.

Article 50 of the EU's AI Act asks that synthetic sound be marked so that machines can tell. The marks are metadata:
nothing can be heard of them, for a sound that all dubs share would tell them apart from originals.
"""

from __future__ import annotations

from shared.core.languages import name as language_name
from shared.schemas.layout import CONTROL, ORIG

VOCABULARY = "http://cv.iptc.org/newscodes/digitalsourcetype/"
SYNTHETIC = f"{VOCABULARY}trainedAlgorithmicMedia"
"""Made by a trained model: synthetic speech alone."""
COMPOSITE = f"{VOCABULARY}compositeWithTrainedAlgorithmicMedia"
"""A recording with synthetic speech in it."""
ENHANCED = f"{VOCABULARY}algorithmicallyEnhanced"
"""A recording that was processed; nothing in it is made up: stems, and the control."""


def track_source(track: str) -> str | None:
    """Digital source type of a whole track; None for the original, which is as it was submitted."""
    if track == ORIG:
        return None
    return ENHANCED if track == CONTROL else COMPOSITE


def speech_source(track: str) -> str:
    """Digital source type of a track's speech alone."""
    return ENHANCED if track == CONTROL else SYNTHETIC


def mark(source_type: str | None, languages: tuple[str, ...] = ()) -> dict[str, str]:
    """Tags of a file: ``comment``; none where nothing was made or changed by a model.

    Args:
        languages: Of the synthetic speech.
    """
    if source_type is None:
        return {}
    if source_type == ENHANCED:
        what = "Recorded sound, separated by a model; no speech in it is synthetic."
    else:
        named = ", ".join(language_name(language) for language in languages)
        what = f"Contains AI-generated speech ({named})." if named else "Contains AI-generated speech."
    return {"comment": f"{what} Made with Counterdub. digitalSourceType: {source_type}"}
