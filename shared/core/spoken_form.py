"""Write out what is not read as it is spelled: numbers, prices, dates, times, units, abbreviations, addresses.

Numbers in words, ordinals and years come from the CLDR's rules (unicode-rbnf), months, units and separators from its
data (babel); ``reading.toml`` holds the rest by language. A language that is not there gets its numbers in words where
the CLDR has them. Japanese keeps its digits, which its front end reads with their counters; only signs around them are
written out.

All patterns are bounded: a text is read in time proportional to its length.
"""

from __future__ import annotations

import re
import tomllib
import unicodedata
from collections.abc import Callable, Mapping
from decimal import Decimal
from functools import lru_cache
from importlib import resources
from typing import Any

from babel import Locale, UnknownLocaleError
from babel.numbers import get_currency_name, get_decimal_symbol, get_group_symbol
from babel.units import format_unit
from unicode_rbnf import FormatPurpose, RbnfEngine
from unicode_rbnf.engine import NoRuleForNumberError

LOCALES = {"pt": "pt_BR", "es": "es", "en": "en_US"}

SPACES = " \u00a0\u2009\u202f"
NUMBER = rf"\d{{1,15}}(?:[.,'’{SPACES}]\d{{1,15}}){{0,6}}"
BEFORE = r"(?<![\w.,])"
"""No number begins inside a word or another number."""

CODES = ("USD", "EUR", "GBP", "JPY", "INR", "BRL", "CHF", "CAD", "AUD", "MXN", "KRW", "CNY", "RUB")
CURRENCIES = {
    **{"$": "USD", "US$": "USD", "€": "EUR", "£": "GBP", "¥": "JPY", "￥": "JPY", "円": "JPY", "₹": "INR", "R$": "BRL"},
    **{"₽": "RUB", "₩": "KRW", "₺": "TRY", "₴": "UAH", "฿": "THB", "₪": "ILS", "₫": "VND"},
    **{code: code for code in CODES},
}
"""Sign or code beside a number → ISO 4217."""

UNITS = {
    "%": "percent", "‰": "permille", "kg": "kilogram", "g": "gram", "mg": "milligram", "lb": "pound", "lbs": "pound",
    "oz": "ounce", "km": "kilometer", "m": "meter", "cm": "centimeter", "mm": "millimeter", "mi": "mile", "ft": "foot",
    "yd": "yard", "km/h": "kilometer-per-hour", "kmh": "kilometer-per-hour", "mph": "mile-per-hour",
    "m/s": "meter-per-second", "l": "liter", "L": "liter", "ml": "milliliter", "mL": "milliliter", "cl": "centiliter",
    "h": "hour", "min": "minute", "s": "second", "ms": "millisecond", "°C": "celsius", "℃": "celsius",
    "°F": "fahrenheit", "℉": "fahrenheit", "°": "degree", "kB": "kilobyte", "KB": "kilobyte", "MB": "megabyte",
    "GB": "gigabyte", "TB": "terabyte", "Hz": "hertz", "kHz": "kilohertz", "MHz": "megahertz",
    "GHz": "gigahertz", "W": "watt",
    "kW": "kilowatt", "V": "volt", "kcal": "kilocalorie", "ha": "hectare", "m²": "square-meter", "m³": "cubic-meter",
    "km²": "square-kilometer",
}  # fmt: skip
"""Sign after a number → the CLDR's unit."""

ADDRESS = re.compile(
    r"(?<![\w@.])(?:(?:https?://|www\.)[\w\-./~%?=&#:+]{1,300}|[\w.+\-]{1,64}@[\w\-]{1,63}(?:\.[\w\-]{1,63}){1,4}"
    r"|[A-Za-z0-9\-]{2,63}(?:\.[A-Za-z0-9\-]{2,63}){0,2}\.(?:com|org|net|edu|gov|info|io|tv|co\.uk)(?:/[\w\-./]{0,200})?)"
    r"(?![\w@])"
)
NUMERIC_DATE = re.compile(
    r"(?<![\d/.\-])(?:(\d{1,2})([/.])(\d{1,2})\2(\d{4}|\d{2})|(\d{4})([/\-])(\d{1,2})\6(\d{1,2}))(?![\d/\-])"
)
CLOCK_TIME = re.compile(
    r"(?<![\d:.,])(\d{1,2})(?::|[ ]?[hH][ ]?)([0-5]\d)(?::[0-5]\d)?(?:[ ]?(?:Uhr|h\b|बजे))?(?![\d:])"
)
GERMAN_TIME = re.compile(r"(?<![\d:.,])(\d{1,2})\.([0-5]\d)[ ]Uhr\b")
FULL_HOUR = {
    "fr": re.compile(r"(?<![\d:.,])(\d{1,2})[ ]?(?:h|heures?)\b(?![ ]?\d)"),
    "pt": re.compile(r"(?<![\d:.,])(\d{1,2})[ ]?h\b(?![ ]?\d)"),
    "de": re.compile(r"(?<![\d:.,])(\d{1,2})[ ]?Uhr\b(?![ ]?\d)"),
}
HALF_OF_DAY = re.compile(r"[ ]?[ap]\.?[ ]?m\b", re.IGNORECASE)
TELEPHONE = re.compile(
    r"(?<![\w.,])\+?\d{1,4}(?:[ \-]\d{2,4}){2,5}(?![\w\-])|(?<![\w.,\-])\d{3}-\d{4}(?![\w\-])|\d{16,300}+"
)
RANGE = re.compile(r"(?<![\w.,\-–])(\d{1,4})[ ]?[–\-][ ]?(\d{1,4})(?![\w\-–])")
DECADE = re.compile(r"(?<!\w)['’]?(\d{2}|\d{4})s\b")
ORDINALS = {
    "en": re.compile(r"(?<![\w.,])(\d{1,9})(st|nd|rd|th)\b"),
    "es": re.compile(r"(?<![\w.,])(\d{1,9})\.?(º|ª|°(?=[ ][^\W\d])|er\b|ro\b|ra\b|do\b|da\b|to\b|ta\b)"),
    "fr": re.compile(r"(?<![\w.,])(\d{1,9})(ers?|res?|ère|nde?|es?|ème|èmes)\b"),
    "it": re.compile(r"(?<![\w.,])(\d{1,9})\.?(º|ª|°(?=[ ][^\W\d]))"),
    "pt": re.compile(r"(?<![\w.,])(\d{1,9})\.?(º|ª|°(?=[ ][^\W\d]))"),
}
FEMININE_NOUNS = {
    "es": ("a", "as", "ión", "iones", "dad", "dades"),
    "pt": ("a", "as", "ção", "ções", "dade", "dades"),
    "it": ("a", "e"),
}
FEMININE_ENDINGS = {"ª", "ra", "da", "ta", "re", "res", "ère", "nde"}
ZERO_FIRST = re.compile(r"(?<![\d.,])0\d{1,14}(?![\d.,]\d)")
EMOJI = re.compile("[\U0001f1e6-\U0001f1ff\U0001f3fb-\U0001f3ff\ufe0e\ufe0f\u200d\u20e3\U000e0020-\U000e007f]")


@lru_cache(maxsize=4096)
def read_aloud(text: str, language: str) -> str:
    """``text`` as it is said: «1.000 personas a 3,50 €» → «mil personas a tres euros con cincuenta».

    Args:
        text: One line, as it is written.
        language: ISO 639-1 code. One that nothing is known of leaves the text as it is, but for emoji.

    Returns:
        The text without digits (in Japanese: with plain digits), signs and abbreviations in words, without emoji.
    """
    text = "".join(str(unicodedata.digit(char)) if char.isdigit() and char.isdecimal() else char for char in text)
    reader = reader_of(language)
    if reader is not None:
        text = reader.read(text)
    kept = (char for char in EMOJI.sub("", text) if unicodedata.category(char) != "So")
    return re.sub(rf"[{SPACES}]+", " ", "".join(kept)).strip()


@lru_cache(maxsize=64)
def reader_of(language: str) -> Reader | None:
    """The reader of a language; None where neither the table nor the CLDR knows its numbers."""
    tables = tomllib.loads((resources.files("shared.core") / "spoken_form.toml").read_text(encoding="utf-8"))
    try:
        locale = Locale.parse(LOCALES.get(language, language))
        rules = RbnfEngine.for_language(language)
    except (UnknownLocaleError, ValueError):
        return None
    return Reader(language, locale, rules, tables.get(language))


class Reader:
    """What one language needs to read a line: its rules, its signs, its table."""

    def __init__(self, language: str, locale: Locale, rules: Any, table: Mapping[str, Any] | None) -> None:
        self.language = language
        self._locale = locale
        self._rules = rules
        self._table: Mapping[str, Any] = table or {}
        self._decimal = get_decimal_symbol(locale)
        self._group = get_group_symbol(locale)
        months = {**locale.months["stand-alone"]["abbreviated"], **locale.months["format"]["abbreviated"]}
        wide = locale.months["format"]["wide"]
        self._months: dict[str, str] = {}
        for number, name in wide.items():
            for short in (name, months[number], locale.months["stand-alone"]["abbreviated"][number]):
                self._months[short.rstrip(".").casefold()] = name
        self._wide = wide
        self._passes = self._make_passes()

    def read(self, text: str) -> str:
        for pattern, replace in self._passes:
            text = pattern.sub(replace, text)
        return text

    # What is written out, in order: what holds other signs and numbers comes before them.

    def _make_passes(self) -> list[tuple[re.Pattern[str], Callable[[re.Match[str]], str]]]:
        money = "|".join(re.escape(sign) for sign in sorted(CURRENCIES, key=len, reverse=True))
        units = "|".join(re.escape(sign) for sign in sorted(UNITS, key=len, reverse=True))
        before = "(?<![0-9.,])" if self.language == "ja" else BEFORE
        ends = r"(?![^\W\d_])" if self.language != "ja" else "(?![A-Za-z])"
        number = rf"({NUMBER})"
        if not self._table:
            return [(re.compile(number), self._plain)]
        magnitudes = "|".join(re.escape(word) for word in sorted(self._table["magnitudes"], key=len, reverse=True))
        large = rf"(?:[{SPACES}]?({magnitudes})\b)?" if self.language != "ja" else "(千|万|億|百万)?"
        passes: list[tuple[re.Pattern[str], Callable[[re.Match[str]], str]]] = [
            (ADDRESS, self._address),
            *self._abbreviations(),
            (NUMERIC_DATE, self._numeric_date),
            *self._written_dates(),
        ]
        if self.language == "de":
            passes.append((GERMAN_TIME, self._clock_time))
        passes.append((CLOCK_TIME, self._clock_time))
        if self.language in FULL_HOUR:
            passes.append((FULL_HOUR[self.language], self._full_hour))
        if self.language == "en":
            passes.append((DECADE, self._decade))
        passes += [
            (re.compile(rf"{before}({money})[{SPACES}]?{number}{large}"), self._price_before),
            (re.compile(rf"{before}{number}{large}[{SPACES}]?({money}){ends}"), self._price_after),
            (re.compile(rf"{before}([-−–])?{number}[{SPACES}]?({units}){ends}"), self._measure),
        ]
        if self.language in ORDINALS:
            passes.append((ORDINALS[self.language], self._ordinal))
        if self.language == "ja":
            return [*passes, (re.compile(number), self._ungrouped), *self._symbols()]
        return [
            *passes,
            (TELEPHONE, self._digits),
            (RANGE, self._range),
            (ZERO_FIRST, self._digits),
            (re.compile(r"(?:n[.º°]{1,2}|№|#)[ ]?(?=\d)"), lambda match: f"{self._table['number']} "),
            (re.compile(r"(?<![\w)])[-−–](?=\d)"), lambda match: f"{self._table['minus']} "),
            (re.compile(rf"{number}(?=([{SPACES}][^\W\d_]{{2,40}})?)"), self._counted),
            *self._symbols(),
        ]

    def _symbols(self) -> list[tuple[re.Pattern[str], Callable[[re.Match[str]], str]]]:
        signs = self._table["symbols"]
        space = "" if self.language == "ja" else " "
        some = re.compile("|".join(re.escape(sign) for sign in signs))
        return [(some, lambda match: f"{space}{signs[match[0]]}{space}")]

    def _abbreviations(self) -> list[tuple[re.Pattern[str], Callable[[re.Match[str]], str]]]:
        out: list[tuple[re.Pattern[str], Callable[[re.Match[str]], str]]] = []
        stopped: Mapping[str, str] = self._table["abbreviations"]
        if stopped:
            some = "|".join(re.escape(short) for short in sorted(stopped, key=len, reverse=True))
            # One letter is a name's initial unless a name follows: «Samuel L. Jackson», but «M. Dupont».
            pattern = re.compile(rf"(?<![\w.])({some})(?![^\W\d_])([ ]*+)(?=(.?))")
            out.append((pattern, self._abbreviation))
        words: Mapping[str, str] = self._table.get("words", {})
        if words:
            some = "|".join(sorted(words, key=len, reverse=True))
            out.append((re.compile(rf"(?<![\w-])({some})(?=[ ][A-ZÀ-Ý])"), lambda match: words[match[1]]))
        return out

    def _abbreviation(self, match: re.Match[str]) -> str:
        short, gap, after = match[1], match[2], match[3]
        expansion: str = self._table["abbreviations"][short]
        before = text_before(match).rstrip()
        after_name = before[-1:].isalpha() and before.split()[-1][0].isupper()
        if len(short) == 2 and (not after.isupper() or after_name):
            return match[0]
        if match.start() == 0 or before.endswith((".", "!", "?")):
            expansion = expansion[0].upper() + expansion[1:]
        # The full stop of the last word ends the sentence too.
        ends = not after or (short[0].islower() and after.isupper())
        return f"{expansion}{'.' if ends else ''}{gap}"

    # Numbers

    def words(self, number: str, purpose: FormatPurpose = FormatPurpose.CARDINAL, wanted: tuple[str, ...] = ()) -> str:
        """A plain decimal number (``-3.5``) in words, by the first of the wanted rules that the language has."""
        try:
            rules = self._rules.format_number(number, purpose).text_by_ruleset
        except (NoRuleForNumberError, ValueError):
            # The CLDR has no words for it in this language: the synthesiser's own front end reads it.
            return number
        text = next((rules[rule] for rule in wanted if rule in rules), None) or next(iter(rules.values()))
        words = str(text).replace("\u00ad", "")
        return words if self.language == "fr" else words.replace("-", " ")

    def value(self, written: str) -> str | None:
        """A number as written in this language → a plain decimal one; None where it is none (``1.2.3``, ``12 30``)."""
        spaces = rf"[{SPACES}]"
        if re.search(spaces, written):
            grouped = self.language in {"es", "pt", "it"} or self._group in SPACES or not re.search("[ ]", written)
            if not grouped or not re.fullmatch(rf"\d{{1,3}}(?:{spaces}\d{{3}})++(?:[.,]\d++)?", written):
                return None
            written = re.sub(spaces, "", written)
        if re.fullmatch(r"\d{1,3}(?:['’]\d{3})++(?:[.,]\d++)?", written):
            written = re.sub("['’]", "", written)
        whole, *rest = re.split(r"[.,]", written)
        signs = re.findall(r"[.,]", written)
        if not signs:
            return written if written.isdecimal() else None
        if len(set(signs)) == 2:
            return "".join([whole, *rest[:-1]]) + "." + rest[-1] if signs.count(signs[-1]) == 1 else None
        indian = self.language == "hi" and all(len(part) in (2, 3) for part in rest)
        thirds = indian or all(len(part) == 3 for part in rest)
        grouped = len(whole) <= 3 and whole != "0" and thirds and len(rest[-1]) == 3
        if len(signs) > 1:
            return whole + "".join(rest) if grouped else None
        # «1,000» is a thousand also where the comma is the decimal sign: nobody says three decimals that end in nought.
        if grouped and (signs[0] != self._decimal or (signs[0] == "," and rest[0].endswith("0"))):
            return whole + rest[0]
        return f"{whole}.{rest[0]}"

    def _plain(self, match: re.Match[str]) -> str:
        value = self.value(match[1])
        if value is None:
            return re.sub(r"\d{1,15}", lambda part: self.words(part[0]), match[0])
        return self.words(value)

    def _ungrouped(self, match: re.Match[str]) -> str:
        return self.value(match[1]) or match[1]

    def _counted(self, match: re.Match[str]) -> str:
        """A number and, looked at only, the word that it counts."""
        written, noun = match[1], (match[2] or "").strip()
        value = self.value(written)
        if value is None:
            words = self._parts(written)
        elif self.language in {"en", "de"} and re.fullmatch(r"1[1-9]\d\d|20\d\d", written):
            words = self.words(value, FormatPurpose.YEAR)
        else:
            words = self.counting(value, noun)
        start, end = match.start(), match.end(1)
        left = " " if start and match.string[start - 1].isalpha() else ""
        right = " " if match.string[end : end + 1].isalpha() else ""
        return f"{left}{words}{right}"

    def _parts(self, written: str) -> str:
        """Numbers that are not one: versions, addresses of machines, rows of numbers."""
        dot = f" {self._table['dot']} " if written.count(".") > 1 else " "
        return re.sub(r"\d{1,15}", lambda part: self.words(part[0]), written.replace(".", dot)).replace(",", ", ")

    def counting(self, value: str, noun: str = "") -> str:
        """A plain number before a noun, in the noun's gender where the language tells and it can be guessed."""
        if not noun or "." in value:
            return self.words(value, wanted=("spellout-numbering",))
        kinds = ("spellout-cardinal-feminine",) if self._is_feminine(noun) else ("spellout-cardinal-masculine",)
        return self.words(value, wanted=(*kinds, "spellout-numbering"))

    def _is_feminine(self, noun: str) -> bool:
        word = noun.split(" ", maxsplit=1)[0]
        if "feminine" in self._table:
            return word in self._table["feminine"] or (self.language == "de" and word.endswith(("ung", "heit", "keit")))
        if self.language in FEMININE_NOUNS:
            return word.endswith(FEMININE_NOUNS[self.language]) and word.casefold() not in self._table["not_feminine"]
        return False

    def _digits(self, match: re.Match[str]) -> str:
        """Digit by digit, a pause between groups."""
        groups = re.findall(r"\d{1,15}", match[0])
        plus = f"{self._table['symbols']['+']} " if match[0].startswith("+") else ""
        return plus + ", ".join(" ".join(self.words(digit) for digit in group) for group in groups)

    def _range(self, match: re.Match[str]) -> str:
        low, high = match[1], match[2]
        if int(low) >= int(high):
            return f"{low} {high}"
        return f"{low} {self._table['to']} {high}"

    def _ordinal(self, match: re.Match[str]) -> str:
        feminine = match[2] in FEMININE_ENDINGS
        wanted = ("spellout-ordinal-feminine",) if feminine else ("spellout-ordinal-masculine", "spellout-ordinal")
        if match[2] == "er" and self.language == "es":
            wanted = ("spellout-ordinal-masculine-adjective",)
        return self.words(match[1], FormatPurpose.ORDINAL, wanted)

    def _decade(self, match: re.Match[str]) -> str:
        year = self.words(match[1], FormatPurpose.YEAR if len(match[1]) == 4 else FormatPurpose.CARDINAL)
        return year[:-1] + "ies" if year.endswith("y") else year + "s"

    # Money and measures

    def _money(self, written: str, sign: str, magnitude: str | None) -> str:
        code = CURRENCIES[sign]
        names = self._table["currencies"].get(code)
        value = self.value(written)
        if value is None:
            return f"{written} {sign}"
        if names is None:
            many = get_currency_name(code, count=Decimal(value), locale=self._locale)
            names = [many, many, "", ""]
        if self.language == "ja":
            whole, _, rest = (value, "", "") if magnitude else value.partition(".")
            least = f"{int(rest.ljust(2, '0')[:2])}{names[3]}" if rest and int(rest) else ""
            return f"{whole}{magnitude or ''}{names[0]}{least}"
        if magnitude:
            joint = self._table.get("magnitude_of", "") if magnitude not in {"mil", "mille", "mila"} else ""
            return " ".join(part for part in (self.counting(value, magnitude), magnitude, joint, names[1]) if part)
        whole, _, rest = value.partition(".")
        cents = int(rest.ljust(2, "0")[:2]) if rest else 0
        major = f"{self.counting(whole, names[0 if whole == '1' else 1])} {names[0 if whole == '1' else 1]}"
        if not cents or len(rest) > 2:
            return major if not cents else f"{self.words(value)} {names[1]}"
        minor = f"{self.counting(str(cents), names[3])} {names[2 if cents == 1 else 3]}"
        if int(whole) == 0:
            return minor
        short = self.counting(str(cents)) if self.language not in {"en", "hi"} else minor
        return " ".join(part for part in (major, self._table["price"], short) if part)

    def _price_before(self, match: re.Match[str]) -> str:
        return self._money(match[2], match[1], match[3])

    def _price_after(self, match: re.Match[str]) -> str:
        return self._money(match[1], match[3], match[2])

    def _measure(self, match: re.Match[str]) -> str:
        value = self.value(match[2])
        if value is None:
            return match[0]
        if match[1]:
            value = f"-{value}"
        quantity = format_unit(Decimal(value), UNITS[match[3]], length="long", locale=self._locale)
        if self.language == "ja":
            return re.sub(r"[-−]?\d[\d.,]*+", value, quantity, count=1).replace(" ", "")
        noun = re.sub(r"[\d.,\-−\u00a0\u202f\u200e]", "", quantity).strip()
        minus = f"{self._table['minus']} " if match[1] else ""
        words = minus + self.counting(value.lstrip("-"), noun)
        return re.sub(r"[-−\u200e]{0,2}\d[\d.,\u202f]*+", lambda number: words, quantity, count=1)

    # Dates and times

    def _numeric_date(self, match: re.Match[str]) -> str:
        if match[5]:
            year, month, day = match[5], int(match[7]), int(match[8])
        else:
            first, second, year = int(match[1]), int(match[3]), match[4]
            month, day = (first, second) if self.language == "en" else (second, first)
            if month > 12 >= day:
                month, day = day, month
            if len(year) == 2:
                year = f"{'19' if int(year) > 50 else '20'}{year}"
        if not (1 <= month <= 12 and 1 <= day <= 31):
            return match[0]
        return self._date(day, self._wide[month], year, month, text_before(match))

    def _date(self, day: int, name: str, year: str | None, month: int, before: str) -> str:
        if self.language == "ja":
            return f"{year}年{month}月{day}日"
        template: str = self._table["date"]
        said_year = self._year(year) if year else ""
        return template.format(day=self._day(day, before), month=name, year=said_year).removesuffix(" de ").strip()

    def _day(self, day: int, before: str) -> str:
        if self.language == "en":
            return self.words(str(day), FormatPurpose.ORDINAL)
        if self.language == "de":
            declined = re.search(r"\b(?:am|vom|zum|dem|den|seit|bis|ab|der|des)[ ]$", before, re.IGNORECASE)
            rule = "spellout-ordinal-n" if declined else "spellout-ordinal-r"
            return self.words(str(day), FormatPurpose.ORDINAL, (rule,))
        if day == 1 and self.language in {"fr", "it", "pt"}:
            return self.words("1", FormatPurpose.ORDINAL, ("spellout-ordinal-masculine",))
        return self.words(str(day), wanted=("spellout-numbering",))

    def _written_dates(self) -> list[tuple[re.Pattern[str], Callable[[re.Match[str]], str]]]:
        """A day and a month's name, long or short with its full stop."""
        if self.language == "ja":
            return []
        names = "|".join(re.escape(name) for name in sorted(self._months, key=len, reverse=True))
        year = r"(?:,?[ ](?:de )?(\d{4})\b)?"
        day = r"(\d{1,2})"
        ending = r"(?:st|nd|rd|th)?" if self.language == "en" else ""
        of = r"(?:de )?" if self.language in {"es", "pt"} else r"(?:of )?" if self.language == "en" else ""
        dot = r"\.?" if self.language == "de" else ""
        first = re.compile(rf"\b({names})\b\.?[ ]{day}{ending}\b(?![:.,/]\d){year}", re.IGNORECASE)
        last = re.compile(
            rf"(?<![\d.,:/]){day}{ending}{dot}[ ]{of}({names})\b(?:\.(?=[ ](?:de )?\d))?{year}", re.IGNORECASE
        )

        def month_first(match: re.Match[str]) -> str:
            # «may 3» in the middle of a sentence is a verb: a month has a capital in English.
            if self.language == "en" and not match[1][0].isupper():
                return match[0]
            return self._date(int(match[2]), self._months[match[1].casefold()], match[3], 0, "")

        def day_first(match: re.Match[str]) -> str:
            name = self._months[match[2].casefold()]
            if self.language == "en":
                if not match[2][0].isupper():
                    return match[0]
                said_year = f" {self.words(match[3], FormatPurpose.YEAR)}" if match[3] else ""
                article = "" if text_before(match).casefold().endswith("the ") else "the "
                return f"{article}{self.words(match[1], FormatPurpose.ORDINAL)} of {name}{said_year}"
            joint = " de " if self.language in {"es", "pt"} else " "
            parts = [self._day(int(match[1]), text_before(match)), name, *([self._year(match[3])] if match[3] else [])]
            return joint.join(parts)

        return [(first, month_first), (last, day_first)] if self.language == "en" else [(last, day_first)]

    def _year(self, year: str) -> str:
        return self.words(year, FormatPurpose.YEAR if self.language in {"en", "de"} else FormatPurpose.CARDINAL)

    def _clock_time(self, match: re.Match[str]) -> str:
        hour, minute = int(match[1]), int(match[2])
        if hour > 24:
            return match[0]
        if not minute:
            return self._hour(hour, match)
        template: str = self._table["time"]
        if minute < 10 and "zero_minute" in self._table:
            template = self._table["zero_minute"]
        return self._at(template, hour, str(minute))

    def _full_hour(self, match: re.Match[str]) -> str:
        hour = int(match[1])
        return match[0] if hour > 24 else self._hour(hour, match)

    def _hour(self, hour: int, match: re.Match[str]) -> str:
        half_of_day = HALF_OF_DAY.match(match.string, match.end())
        template = "{h}" if self.language == "en" and (half_of_day or hour > 12 or hour == 0) else self._table["clock"]
        return self._at(template, hour, "")

    def _at(self, template: str, hour: int, minute: str) -> str:
        if self.language == "ja":
            return template.format(h=hour, m=minute)
        one = self._table.get("one_hour")
        if one and hour == 1:
            template = re.sub("heures|horas", one, template)
        feminine = "spellout-cardinal-feminine" if self.language in {"fr", "pt", "es"} else "spellout-numbering"
        kind = feminine if self.language != "de" else "spellout-cardinal-masculine"
        words = {"m": self.counting(minute) if minute else "", "h": self.words(str(hour), wanted=(kind,))}
        return template.format(**words).strip()

    # Addresses

    def _address(self, match: re.Match[str]) -> str:
        address = re.sub(r"^https?://", "", match[0])
        whole = address.rstrip(".,:;!?)")
        end = address[len(whole) :]
        address = whole.rstrip("/")
        space = "" if self.language == "ja" else " "
        signs = {".": "dot", "@": "at", "/": "slash", "-": "hyphen", "_": "underscore"}
        spoken = re.sub(r"[.@/\-_]", lambda sign: f"{space}{self._table[signs[sign[0]]]}{space}", address)
        spoken = re.sub(r"\bwww\b", "w w w", spoken)
        return re.sub(r"[~%?=&#:+]", " ", spoken) + end


def text_before(match: re.Match[str]) -> str:
    """The last characters before a match: enough to see a word, whatever the length of the line."""
    return match.string[max(0, match.start() - 40) : match.start()]
