"""The encoding of a transcript: Unicode, or an older one that is told by the language it makes the text."""

from __future__ import annotations

import math
import re
import unicodedata
from itertools import pairwise

from shared.core.errors import UsageError
from shared.media.subtitles import bad_transcript
from shared.transcripts.text_language import beliefs

WEST = frozenset("en es fr de it pt nl sv da no fi is ca gl eu".split())  # noqa: SIM905
CENTRE = frozenset("pl cs sk hu ro sl hr bs sq".split())  # noqa: SIM905
CYRILLIC = frozenset("ru uk bg mk be sr kk".split())  # noqa: SIM905
CHINESE = frozenset({"zh", "yue"})

ENCODINGS = {
    "cp1252": WEST,
    "cp1250": CENTRE,
    "cp1251": CYRILLIC,
    "koi8-r": frozenset({"ru"}),
    "koi8-u": frozenset({"uk"}),
    "cp866": frozenset({"ru"}),
    "iso8859-5": CYRILLIC,
    "mac-cyrillic": CYRILLIC,
    "iso8859-2": CENTRE,
    "iso8859-15": WEST,
    "iso8859-16": frozenset({"ro"}),
    "cp1253": frozenset({"el"}),
    "cp1254": frozenset({"tr", "az"}),
    "cp1255": frozenset({"he"}),
    "cp1256": frozenset({"ar", "fa", "ur"}),
    "cp1257": frozenset({"lt", "lv", "et"}),
    "cp1258": frozenset({"vi"}),
    "cp874": frozenset({"th"}),
    "cp932": frozenset({"ja"}),
    "euc_jp": frozenset({"ja"}),
    "gb18030": CHINESE,
    "big5hkscs": CHINESE,
    "cp949": frozenset({"ko"}),
    "mac-roman": WEST,
    "cp850": WEST,
}
"""Encodings from before Unicode → the languages that were written in them."""

LOOKED_AT = 4000
"""Characters of the lines with letters beyond ASCII that an encoding is judged by."""
LEAST = 0.35
"""Least worth of the best reading …"""
LEAST_OF_FEW, FEW = 0.65, 20
"""… and where there are few letters in all, and not in the film's language."""
FEWEST = 3
"""Fewer letters tell nothing."""
CLEAR = 0.1
"""What it must be better by than the next, in log odds."""
UNEXPECTED = 1.5
"""What a reading loses in a language that is not the film's, in log odds: people give transcripts of the film."""
MARKS = ((b"\xef\xbb\xbf", "utf-8-sig"), (b"\xff\xfe\x00\x00", "utf-32"), (b"\x00\x00\xfe\xff", "utf-32"))
WIDE_MARKS = (b"\xff\xfe", b"\xfe\xff")
INSIDE_WORDS = frozenset("'’ʼ-‐‑.,:/&_@·\u200c\u200d")

LEADING = frozenset("เแโใไ")
"""Thai vowels that stand before their consonant."""


def decode(data: bytes, language: str | None = None) -> tuple[str, str]:
    """The text of a file and the name of its encoding.

    Args:
        language: What the film speaks: the likeliest of a text's languages.

    Raises:
        UsageError: ``bad_transcript`` where bytes are damaged or the encoding cannot be told.
    """
    for mark, name in MARKS:
        if data.startswith(mark):
            return unicode(data, name), name.removesuffix("-sig")
    if data.startswith(WIDE_MARKS):
        return unicode(data, "utf-16"), "utf-16"
    if b"\x00" in data[:64]:
        name = "utf-16-be" if data[:1000:2].count(0) > data[1:1000:2].count(0) else "utf-16-le"
        return unicode(data, name), name
    if b"\x1b$" in data and data.isascii():
        return unicode(data, "iso2022_jp_2"), "iso2022_jp"
    try:
        return mended(data.decode("utf-8"))
    except UnicodeDecodeError as error:
        damaged = data.decode("utf-8", errors="replace")
        good = sum(ord(char) > 127 for char in damaged) - damaged.count("\ufffd")
        if good > 20 * damaged.count("\ufffd"):
            line = data.count(b"\n", 0, error.start) + 1
            raise bad_transcript("bytes are damaged, the rest is UTF-8", line) from error
    return older(data, language)


def unicode(data: bytes, encoding: str) -> str:
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        raise bad_transcript(f"the file is not whole {encoding.removesuffix('-sig').upper()}", 1) from error
    return text.removeprefix("\ufeff")


def mended(text: str) -> tuple[str, str]:
    """UTF-8 text; what was read as Windows' Latin 1 and written as UTF-8 once more (“Ã©” for “é”) is turned back."""
    if "\ufffd" in text:
        line = text.count("\n", 0, text.index("\ufffd")) + 1
        raise bad_transcript("a character is lost (“\ufffd”): the file was converted wrongly before", line)
    if not any(sign in text for sign in ("Ã", "Â", "â€", "Ð", "Ñ", "ã")):
        return text, "utf-8"
    for encoding in ("cp1252", "latin-1"):
        try:
            once = text.encode(encoding).decode("utf-8")
        except UnicodeError:
            continue
        return once, f"utf-8 twice ({encoding})"
    return text, "utf-8"


def older(data: bytes, language: str | None) -> tuple[str, str]:
    """The reading that is likeliest text in a language of its encoding, and clearly more so than the next."""
    readings: dict[str, tuple[float, float, str, str]] = {}
    for encoding, kin in ENCODINGS.items():
        try:
            looked = non_ascii_lines(data.decode(encoding))
        except UnicodeDecodeError:
            continue
        if looked not in readings:
            share, best = worth(looked, kin, language)
            readings[looked] = (
                odds(share) - (UNEXPECTED if language not in (None, best) else 0),
                share,
                best,
                encoding,
            )
    ranked = sorted(readings.values(), reverse=True)
    if readings and max(sum(map(str.isalpha, looked)) for looked in readings) < FEWEST:
        ranked = []
    few = bool(readings) and min(sum(map(str.isalpha, looked)) for looked in readings) < FEW
    sure = bool(ranked) and ranked[0][1] >= (LEAST_OF_FEW if few and language != ranked[0][2] else LEAST)
    if not sure or (len(ranked) > 1 and ranked[0][0] - ranked[1][0] < CLEAR):
        names = " or ".join(encoding for *_, encoding in ranked[:2]) or "none that is known"
        raise UsageError(
            f"The transcript's encoding cannot be told (UTF-8 it is not; {names}). Save it as UTF-8.",
            code="bad_transcript",
            line=1,
        )
    encoding = ranked[0][3]
    return data.decode(encoding), encoding


def non_ascii_lines(text: str) -> str:
    """The lines in which encodings differ: those with letters beyond ASCII."""
    lines, size = [], 0
    for line in text.splitlines():
        if not line.isascii() and "-->" not in line:
            lines.append(line[:LOOKED_AT])
            size += len(line)
        if size > LOOKED_AT:
            break
    return " ".join(lines)[:LOOKED_AT]


def worth(text: str, kin: frozenset[str], language: str | None) -> tuple[float, str]:
    """0–1: belief that the text is in one of the encoding's languages, less what no text has; and that language."""
    shares = beliefs(text)
    best = max(sorted(kin), key=lambda name: odds(shares.get(name, 0.0)) + (UNEXPECTED if name == language else 0))
    strange = oddities(text) / max(1, sum(ord(char) > 127 for char in text))
    return shares.get(best, 0.0) * max(0.0, 1 - 2 * strange), best


def oddities(text: str) -> int:
    """Signs that a text is read in a wrong encoding: controls, “wOrd”, signs and other scripts inside of words."""
    count = sum(unicodedata.category(char) in ("Cc", "Cn", "Co") and not char.isspace() for char in text)
    count += sum("\u2500" <= char <= "\u25ff" for char in text)
    for word in re.findall(r"\w+", text):
        count += sum(first.islower() and second.isupper() for first, second in pairwise(word))
        if not word.isascii():
            count += max(0, len({script(char) for char in word if char.isalpha()} - {"CJK"}) - 1)
    marks = 0
    for before, char, after in zip(text, text[1:], text[2:], strict=False):
        kind = unicodedata.category(char)
        marks = marks + 1 if kind == "Mn" else 0
        count += marks > 2 or (marks == 1 and not before.isalpha())
        count += char in LEADING and not after.isalpha()
        count += char.isdigit() and not char.isascii() and (before.isalpha() or after.isalpha())
        inside = before.isalpha() and after.isalpha() and not char.isalnum() and not char.isspace()
        count += inside and char not in INSIDE_WORDS and kind != "Mn" and unicodedata.east_asian_width(char) not in "WF"
        count += before.isspace() and kind in ("So", "Sc", "Sm", "Sk") and after.isalpha() and char not in "♪♫"
    return count


def script(char: str) -> str:
    """The script of a letter; those of Chinese and Japanese count as one."""
    name = unicodedata.name(char, "").partition(" ")[0]
    return "CJK" if name in ("HIRAGANA", "KATAKANA", "KATAKANA-HIRAGANA", "HANGUL", "FULLWIDTH", "HALFWIDTH") else name


def odds(share: float) -> float:
    """Log odds of a belief."""
    bounded = min(max(share, 1e-6), 1 - 1e-6)
    return math.log(bounded / (1 - bounded))
