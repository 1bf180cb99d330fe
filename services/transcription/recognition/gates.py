"""Text that nobody said: the recogniser's inventions over silence, music and noise."""

from __future__ import annotations

import re
from collections import Counter

from shared.core.text import alphanumerics, normalise
from shared.settings.models import TranscriptionSettings

MIN_SECONDS = 0.12
"""No word is shorter; the text has no sound of its own."""
DOUBTFUL_LOGPROB = -0.7
NO_SPEECH = 0.6
UNSUPPORTED = 0.2
"""Share of an utterance in which voice activity must be seen at least."""
LOOP_SHARE, LOOP_TIMES = 0.9, 5

CREDITS = re.compile(
    r"amara\.?org|opensubtitles|untertitel(ung)? (im auftrag|der|des|von|aufgrund)"
    r"|sous ?titr(es|age) (réalisés|par|st|fait)"
    r"|subt[ií]tulos (realizados|por|de) |legendas? (pela|por) |sottotitoli (creati|e revisione|a cura)"
    r"|subtitles? by |transcri(bed|ption) by |captions? by |字幕(提供|志愿者|由|製作)"
)
"""Credits of subtitle makers in the training data; nobody says them."""

GHOSTS = frozenset(
    normalise(text)
    for text in (
        "Thank you.",
        "Thank you for watching!",
        "Thanks for watching!",
        "Thank you very much.",
        "Please subscribe.",
        "Like and subscribe.",
        "you",
        "bye",
        "Bye bye.",
        "so",
        "okay",
        "music",
        "applause",
        "¡Gracias!",
        "Gracias por ver el video.",
        "Merci.",
        "Merci d'avoir regardé cette vidéo !",
        "Vielen Dank.",
        "Vielen Dank fürs Zuschauen.",
        "Grazie.",
        "Grazie per la visione.",
        "Obrigado.",
        "ご視聴ありがとうございました",
        "ありがとうございました",
        "チャンネル登録お願いします",
        "感谢观看",
    )
)
"""What Whisper writes over silence. Real people say some of it, so it only counts where no voice is seen."""


def phrase_share(text: str, language: str) -> tuple[float, int]:
    """Share of the characters that the most frequent repeated phrase takes, and how often it occurs.

    Phrases are one to eight words long, or one to ten characters where words are not separated; a phrase counts from
    its third occurrence on and without overlap.
    """
    plain = normalise(text, language)
    units = plain.split(" ") if " " in plain else list(plain)
    total = sum(map(len, units))
    best = (0.0, 0)
    for size in range(1, min(11, len(units) // 3 + 1)):
        phrases = Counter(tuple(units[i : i + size]) for i in range(len(units) - size + 1))
        phrase, seen = phrases.most_common(1)[0]
        if seen < 3:
            continue
        times = occurrences(units, phrase)
        share = times * sum(map(len, phrase)) / total
        if times >= 3 and share > best[0] + 1e-9:
            best = (share, times)
    return best


def occurrences(units: list[str], phrase: tuple[str, ...]) -> int:
    count = at = 0
    while at + len(phrase) <= len(units):
        if tuple(units[at : at + len(phrase)]) == phrase:
            count += 1
            at += len(phrase)
        else:
            at += 1
    return count


def refuse(
    text: str,
    language: str,
    *,
    seconds: float,
    mean_logprob: float,
    no_speech: float,
    supported: float,
    sparse: bool,
    settings: TranscriptionSettings,
) -> str | None:
    """Why a recognised utterance is not believed; None when it is.

    Args:
        seconds: Length of the utterance.
        no_speech: The recogniser's own probability that there is no speech.
        supported: Share of the utterance in which voice activity was seen.
        sparse: The chunk is over 30 s long and has hardly any speech (``settings.min_speech_share``).
    """
    if alphanumerics(text) < settings.min_alphanumerics:
        return "no_words"
    if CREDITS.search(text.casefold()):
        return "hallucination"
    share, times = phrase_share(text, language)
    looping = share >= LOOP_SHARE and times >= LOOP_TIMES and alphanumerics(text) / max(seconds, 0.1) > 25
    if looping or (share >= settings.max_phrase_share and mean_logprob < settings.min_mean_logprob):
        return "hallucination"
    unsure = mean_logprob < DOUBTFUL_LOGPROB or no_speech > NO_SPEECH
    if normalise(text) in GHOSTS and (supported < 0.5 or (unsure and no_speech > NO_SPEECH)):
        return "hallucination"
    if supported < UNSUPPORTED and unsure:
        return "no_speech"
    if no_speech > NO_SPEECH and mean_logprob < -1.0:
        return "no_speech"
    if sparse and (unsure or supported < 0.5):
        return "hallucination"
    if seconds < MIN_SECONDS:
        return "too_short"
    return None
