"""Language codes of translation models (FLORES, ISO 639-3, BCP 47) found for the system's ISO 639-1."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

from shared.core.languages import tables

MAIN = {
    "ar": "arb",
    "az": "azj",
    "fa": "pes",
    "ku": "kmr",
    "ms": "zsm",
    "no": "nob",
    "ps": "pbt",
    "qu": "quy",
    "sq": "als",
    "yi": "ydd",
    "zh": "cmn",
}
"""Language → the member that is meant where a model knows several of a macrolanguage."""
SCRIPTS = {"Kore": "Hang"}
"""Likely script as CLDR names it → as FLORES does, where they differ."""


@lru_cache
def iso_639_1(code: str) -> str | None:
    """``spa``, ``spa_Latn``, ``es`` → ``es``; members of a macrolanguage → that (``cmn`` → ``zh``)."""
    try:
        language = tables().get(code.partition("_")[0]).prefer_macrolanguage().language
    except (LookupError, ValueError):
        return None
    return "no" if language == "nb" else language if language and len(language) == 2 else None


@lru_cache
def alpha3(language: str) -> str | None:
    try:
        return tables().get(language).to_alpha3()
    except LookupError:
        return None


@lru_cache
def likely_script(language: str) -> str:
    script = tables().get(language).maximize().script or "Latn"
    return SCRIPTS.get(script, script)


def by_language(codes: Iterable[str]) -> dict[str, str]:
    """ISO 639-1 → the code among a model's ``codes`` that means it best."""
    best: dict[str, tuple[tuple[bool, bool, bool], str]] = {}
    for code in codes:
        if not code or not code[0].isalpha() or (language := iso_639_1(code)) is None:
            continue
        part, _, script = code.partition("_")
        own = part in {language, alpha3(language)}
        rank = (part != MAIN.get(language, part), not own, script not in {"", likely_script(language)})
        if language not in best or rank < best[language][0]:
            best[language] = rank, code
    return {language: code for language, (_, code) in best.items()}


def find(codes: dict[str, str], language: str) -> str | None:
    """Also for languages that are members of another (``nb`` is found as ``no``)."""
    return codes.get(language) or codes.get(iso_639_1(language) or "")
