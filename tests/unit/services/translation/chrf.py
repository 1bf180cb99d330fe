"""chrF (Popović 2015): F-score of character n-grams, recall twice as heavy as precision; 0–100."""

from collections import Counter

ORDER, BETA = 6, 2.0


def chrf(hypotheses: list[str], references: list[str]) -> float:
    """Over a whole set of lines: counts are summed before the score is taken, spaces left out."""
    scores = []
    for order in range(1, ORDER + 1):
        hits = said = wanted = 0
        for hypothesis, reference in zip(hypotheses, references, strict=True):
            mine, theirs = (grams(text, order) for text in (hypothesis, reference))
            hits += (mine & theirs).total()
            said += mine.total()
            wanted += theirs.total()
        precision, recall = hits / max(said, 1), hits / max(wanted, 1)
        weighted = BETA**2 * precision + recall
        scores.append((1 + BETA**2) * precision * recall / weighted if weighted else 0.0)
    return 100 * sum(scores) / ORDER


def grams(text: str, order: int) -> Counter[str]:
    letters = "".join(text.split())
    return Counter(letters[place : place + order] for place in range(len(letters) - order + 1))


def closest(hypothesis: str, references: list[str]) -> str:
    """The reference that a hypothesis scores highest against: how several of them are counted."""
    return max(references, key=lambda reference: chrf([hypothesis], [reference]))
