"""Chooses the conversational sentences that translation is tuned on and measured with, from Tatoeba's test sets.

``python sentence_selection.py TESTSETS OUT`` reads a checkout of the OPUS-MT test sets (files ``tatoeba-test-*``) and
writes ``OUT/{tuning,heldout}.{es,it,de,ja}.jsonl``: ``{"en": …, "references": […]}``, two or more human translations.
The same checkout gives the same files. Sentences: Tatoeba (tatoeba.org) and its contributors, CC BY 2.0 FR, as gathered
by the Tatoeba Translation Challenge (Tiedemann 2020, arXiv:2010.06354).
"""

from __future__ import annotations

import json
import random
import re
import sys
from collections import defaultdict
from pathlib import Path

PAIRS = {"es": "eng-spa", "it": "eng-ita", "de": "deu-eng", "ja": "eng-jpn"}
RELEASES = ("v2020-07-28", "v2021-03-30", "v2021-08-07")
FOLDERS = ("datasets/helsinki_nlp/tatoeba/testsets", "testsets")
SEED = 15
TUNING, HELD_OUT = 40, 200
SPOKEN = re.compile(r"\b(?:I|you|we|me|my|your|us|our|let's|I'm|don't|please)\b|[?!]", re.IGNORECASE)
"""Somebody speaks to somebody."""
WORDS = range(4, 15)


def read_references(root: Path, language: str) -> dict[str, list[str]]:
    """English sentence → its translations, in the order of the releases."""
    pair = PAIRS[language]
    code = next(part for part in pair.split("-") if part != "eng")
    references: dict[str, list[str]] = defaultdict(list)
    for release in RELEASES:
        folder = next(root / name / pair for name in FOLDERS if (root / name / pair).is_dir())
        sides = (folder / f"tatoeba-test-{release}.{side}" for side in ("eng", code))
        english, translated = (path.read_text(encoding="utf-8").split("\n") for path in sides)
        for text, reference in ((a.strip(), b.strip()) for a, b in zip(english, translated, strict=True)):
            if text and reference and reference not in references[text]:
                references[text].append(reference)
    return references


def choose(references: dict[str, list[str]]) -> list[str]:
    """Conversational sentences with several translations, in a fixed random order, the tuning set's first."""
    usable = [
        text
        for text, translations in references.items()
        if len(translations) > 1 and len(text.split()) in WORDS and SPOKEN.search(text)
    ]
    random.Random(SEED).shuffle(usable)
    return usable[: TUNING + HELD_OUT]


def main(root: Path, out: Path) -> None:
    out.mkdir(parents=True, exist_ok=True)
    for language in PAIRS:
        references = read_references(root, language)
        chosen = choose(references)
        for name, part in (("tuning", chosen[:TUNING]), ("heldout", chosen[TUNING:])):
            rows = [json.dumps({"en": text, "references": references[text]}, ensure_ascii=False) for text in part]
            (out / f"{name}.{language}.jsonl").write_text("\n".join(rows) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
