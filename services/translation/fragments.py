"""Lines that break off in mid-sentence: joined for translation, their translation divided again at the pause.

Small models guess the rest of half a sentence, or answer it. Recognised speech is full of halves, because lines end
where somebody draws breath: «Excuse me, could» / «I get in there and» / «fetch my coat?».
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from shared.core.records import Utterance
from shared.core.text import UNSPACED, alphanumerics, spoken_characters

MAX_GAP_SECONDS = 1.0
"""A longer silence in mid-sentence is more often a sentence given up."""
MAX_PARTS, MAX_CHARACTERS = 4, 200
"""Of one joined sentence: models drop what comes late in a longer one."""
ENDED = re.compile(r"[.!?…:;。！？；：—–\-][\"'”»’)\]」』]*\s*$")
"""A sentence that is over, or that was cut short on purpose."""
PAUSES = ",;:.!?…、。，！？"
OPENING = "¿¡“«„‘(「『"
PARTICLES = ("は", "が", "を", "に", "で", "と", "も", "て", "ら", "ど", "の", "へ", "ね", "よ")
"""Last characters of Japanese phrases, after which one may draw breath."""
NOT_FIRST = "ぁぃぅぇぉっゃゅょーァィゥェォッャュョんン" + PAUSES + "」』）)”»"
PAUSE_GAIN, SHORT_WORD_COST, INSIDE_COST = 0.15, 0.08, 0.15
"""In shares of the sentence's length: how far the cut may move for a comma, or away from an article or preposition."""
SHORT_WORD = 3
"""Letters; articles, prepositions and clitics of the languages here, which lean on the word after them."""


def breaks_off(text: str) -> bool:
    """Whether a line ends in mid-sentence."""
    return alphanumerics(text) > 0 and not ENDED.search(text)


def join_fragments(lines: Sequence[Utterance], joinable: Callable[[Utterance], bool]) -> list[list[Utterance]]:
    """``lines``, in order, in groups: one line each, or the parts of one sentence.

    Parts follow one another directly, with at most :data:`MAX_GAP_SECONDS` between them, in one speaker's mouth.
    """
    groups: list[list[Utterance]] = []
    for line in lines:
        last = groups[-1] if groups else []
        if last and continues(last, line) and joinable(line) and all(map(joinable, last)):
            last.append(line)
        else:
            groups.append([line])
    return groups


def continues(parts: Sequence[Utterance], line: Utterance) -> bool:
    """Whether ``line`` goes on with the sentence that ``parts`` began."""
    last = parts[-1]
    return (
        len(parts) < MAX_PARTS
        and breaks_off(last.text)
        and alphanumerics(line.text) > 0
        and (line.speaker, line.language) == (last.speaker, last.language)
        and not (line.overlapped or last.overlapped)
        and -0.05 <= line.start - last.end <= MAX_GAP_SECONDS
        and sum(len(part.text) for part in parts) + len(line.text) <= MAX_CHARACTERS
    )


def joined_text(parts: Sequence[str], language: str) -> str:
    return ("" if language in UNSPACED else " ").join(part.strip() for part in parts)


def divide(text: str, parts: Sequence[str], language: str) -> list[str] | None:
    """``text`` cut into as many pieces as the sentence it translates was spoken in; None where it has too few words.

    Each cut is near the same share of the text as the pause has of the source, moved to a comma, and away from a word
    that leans on the next one.

    Args:
        parts: The source's parts, whose lengths give the shares.
    """
    sizes = [max(spoken_characters(part), 1) for part in parts]
    unspaced = language in UNSPACED
    places = list(range(1, len(text))) if unspaced else [match.start() + 1 for match in re.finditer(r"\s(?=\S)", text)]
    total = max(len(text), 1)
    cuts: list[int] = []
    for number in range(1, len(parts)):
        share = sum(sizes[:number]) / sum(sizes)
        left = len(parts) - number - 1
        possible = [place for place in places if place > (cuts[-1] if cuts else 0)]
        possible = possible[: len(possible) - left] if left else possible
        if not possible:
            return None
        cuts.append(min(possible, key=lambda place: abs(place / total - share) + cut_cost(text, place, unspaced)))
    pieces = [text[start:end].strip() for start, end in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    return pieces if all(map(alphanumerics, pieces)) else None


def cut_cost(text: str, place: int, unspaced: bool) -> float:
    """What speaks against a pause before ``text[place]``; less than nothing where something speaks for it."""
    before = text[:place].rstrip()
    if before[-1:] in PAUSES:
        return -PAUSE_GAIN
    if unspaced:
        inside = text[place] in NOT_FIRST or before[-1:] in OPENING or not before.endswith(PARTICLES)
        return INSIDE_COST if inside else 0.0
    return SHORT_WORD_COST if len(before.split()[-1]) <= SHORT_WORD else 0.0
