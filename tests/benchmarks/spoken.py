"""What is said in the material of the benchmarks, and the share of it that was heard."""

from __future__ import annotations

import json

import jiwer

from shared.core.text import normalise
from tests.conftest import ROOT

KENNEDY = "And so, my fellow Americans, ask not what your country can do for you, ask what you can do for your country."
CLIPS = {
    "1445350_26": "I can't give you the exact hour, but from what I could gather, we have four days left.",
    "80145138_271": "That one out there is absolutely without bottom.",
    "81215414_12": (
        "There she is. Hey, hey, I'm sorry, I'm late. Vivian, I love you. It is nice to finally meet you. "
        "Oh, thank you. Oh, thank you. Thank you."
    ),
}
"""What is said in the English clips, where several recognisers' hearings and the human dubs agree."""


def text_of(title: str) -> str | None:
    """The words of a title of the benchmarks; None where nobody wrote them down."""
    if title == "sample":
        truth = json.loads((ROOT / "tests" / "sample" / "truth" / "truth.json").read_text(encoding="utf-8"))
        return " ".join(line["text"] for line in truth["lines"])
    return CLIPS.get(title.removesuffix("_en"))


def word_recall(said: str, heard: str) -> float:
    """Share of English words that were heard, in order."""
    found = jiwer.process_words(normalise(said, "en"), normalise(heard, "en") or "nothing")
    return found.hits / (found.hits + found.substitutions + found.deletions)
