"""Characters that a model's tokenizer does not know, taken out of a line before the model sees it.

Models make of their unknown token what they like: some say nothing, some invent, and where a released tokenizer gives
it the id of the end of the sentence (MADLAD-400 under transformers 5), all that follows is lost.
"""

from __future__ import annotations

from collections.abc import Callable


class KnownText:
    """Cleans lines for one tokenizer.

    Args:
        knows: Whether the tokenizer has tokens for the whole of a text.
    """

    def __init__(self, knows: Callable[[str], bool]) -> None:
        self._knows = knows
        self._characters: dict[str, bool] = {}

    def __call__(self, text: str) -> str:
        """``text`` without the characters that are unknown; as it is where nothing else would be left."""
        if self._knows(text):
            return text
        kept = " ".join("".join(c if self._known(c) else " " for c in text).split())
        return kept or text

    def _known(self, character: str) -> bool:
        if character not in self._characters:
            self._characters[character] = character.isspace() or self._knows(character)
        return self._characters[character]
