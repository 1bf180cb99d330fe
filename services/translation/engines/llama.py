"""A small language model through llama.cpp: any pair of languages, by example. The weakest and most general engine."""

from __future__ import annotations

import json
import math
import os
import re
import secrets
import threading
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from importlib.metadata import version
from pathlib import Path
from typing import Any, ClassVar, NamedTuple
from weakref import WeakValueDictionary

from services.translation.engines.prompt_cache import FOLDER, PromptCache
from services.translation.ranking import used
from services.translation.sentences import sentences
from shared.core import languages
from shared.core.errors import EngineError
from shared.core.records import Hypothesis
from shared.core.text import UNSPACED, spoken_characters
from shared.engines.protocols import EngineOptions, Licence, Line, WeightFiles

WEIGHTS = "qwen2.5-coder-1.5b-instruct-q4"
CONTEXT_TOKENS = 2048
"""Of one slot: the examples take 400 to 700, a line and its translation the rest."""
MAX_CANDIDATES = 4
SLOTS = 6
"""Places for prompts' beginnings: two languages at a time need up to three each. 60 MB apiece."""
WAIT_POLICY = "OMP_WAIT_POLICY"
TEMPERATURE, TOP_P = 0.7, 0.9
"""Of the candidates after the first; the first is what the model thinks most likely."""
UNSURE = -1.2
"""Mean log-probability below which other candidates are drawn. Rare: drawn ones were seldom better, often worse."""
LONG = 1.3
"""Times its room; a longer first candidate gets company."""
TIGHT = 0.8
"""Below this share of the source's length the model is told to be brief."""
CHARACTERS_PER_WORD = 6
TO_A_MODEL = re.compile(
    r"\b(?:translat\w{1,5}|traduc\w{1,6}|tradui\w{1,4}|tradu[cz]\w{0,5}|übersetz\w{0,5})\b|翻訳"
    r"|\b(?:ignor\w{1,6}|forget|disregard|olvid\w{1,4}|oubli\w{1,4}|vergiss|vergesst|dimentic\w{1,4}|esque[çc]\w{1,3})\b"
    r"[^.!?]{0,40}\b(?:instruc\w{2,8}|istruzion\w|anweisung\w{0,2}|prompts?|told|said)\b"
    r"|\b(?:system prompt|language model|ai assistant|helpful assistant|chatbot|repeat after me)\b"
    r"|^\W{0,4}(?:answer|reply|respond|speak|say it|write)\b[^.!?]{0,40}\b(?:in (?:english|french|spanish|chinese"
    r"|german|italian|japanese|portuguese)|poem|essay|story|code)\b",
    re.IGNORECASE,
)
"""Lines that the model takes for its own instructions."""
REPORTED = {
    "en": "She said: “{}”",
    "es": "Ella dijo: “{}”",
    "fr": "Elle a dit : “{}”",
    "it": "Lei ha detto: “{}”",
    "pt": "Ela disse: “{}”",
    "de": "Sie sagte: “{}”",
    "ja": "彼女は言った。「{}」",
}
"""What somebody said is translated, not obeyed."""
PROMPT = (
    "You are a professional translator of film dialogue. Translate each {source} line into natural, idiomatic spoken "
    "{target} of similar length. Output only the translation."
)


FILLER = "~"
"""Stands after the examples in a slot that holds no line."""


class Examples(NamedTuple):
    """What comes before every line of a pair of languages, as a list or as a conversation."""

    source: str
    target: str
    as_list: bool
    pivots: tuple[str, ...] = ()
    """Other languages that the list shows every line in, too."""


@dataclass
class PromptSlot:
    """A place in the model's memory, and the text that stands there behind the examples (UTF-8; empty: nothing yet)."""

    number: int
    last: bytes = b""


class LanguageModel:
    """A model in memory with its slots. Whoever uses it holds its lock. Loaded when it is first asked."""

    def __init__(self, runtime: Any, path: Path, threads: int) -> None:
        self.lock = threading.Lock()
        self.slots: dict[Examples, PromptSlot] = {}
        self._runtime, self._path, self._threads = runtime, path, threads
        self._server: Any = None
        # It listens on a port of this machine, for the states of slots: others there are not let in.
        self._key = secrets.token_hex()
        file = path.stat()
        maker = f"{path.name} {file.st_size} {file.st_mtime_ns} {version('xllamacpp')} {threads}"
        self._cache = PromptCache(path.parent.parent / FOLDER, maker)

    def server(self) -> Any:
        if self._server is None:
            params = self._runtime.CommonParams()
            params.model.path = str(self._path)
            # Slots apart, each with room of its own: where another's tokens lie must not change the order of a sum.
            params.n_ctx = CONTEXT_TOKENS * SLOTS
            params.n_parallel = SLOTS
            params.kv_unified = False
            params.cache_idle_slots = False
            params.cache_ram_mib = 0
            params.cpuparams.n_threads = self._threads
            params.cpuparams_batch.n_threads = self._threads
            params.warmup = False
            params.verbosity = 0
            params.api_keys = [self._key]
            params.ui = False
            params.slot_save_path = f"{self._cache.folder}{os.sep}"
            self._server = self._runtime.Server(params)
        return self._server

    def restore(self, slot: int, prompt: str) -> bool:
        """Whether a slot now holds ``prompt`` as an earlier run read it."""
        return self._cache.restore(self.server(), self._key, slot, prompt)

    def keep(self, slot: int, prompt: str) -> None:
        """Keep for later runs what a slot holds: ``prompt`` and a line behind it."""
        self._cache.keep(self.server(), self._key, slot, prompt)


_models: WeakValueDictionary[tuple[Path, int], LanguageModel] = WeakValueDictionary()
_models_lock = threading.Lock()


def shared_model(runtime: Any, path: Path, threads: int) -> LanguageModel:
    """The process's one copy of a model (1.8 GB), for as long as an engine holds it."""
    with _models_lock:
        model = _models.get((path, threads))
        if model is None:
            model = _models[path, threads] = LanguageModel(runtime, path, threads)
        return model


class LlamaTranslator:
    """See :class:`shared.engines.protocols.Translator`.

    A question has the same candidates whatever was asked before it. The model's sums differ in their last digits with
    how many tokens are read at once, and so small a model has many near ties. So one question is asked at a time, and
    it always goes on from the same state: the examples of its pair of languages, read once in a slot of their own, and
    nothing of an earlier line.

    The first candidate is the likeliest, sentence by sentence: whole lines of several sentences come out worse. Others
    are drawn only where they can help (the first is too long for its room, or the model was unsure of it), or are asked
    for by another seed than the engine's own: a drawn candidate costs as much time as the first and is seldom better.

    The neighbouring lines are not shown: so small a model translates them instead, or answers them. Over the sample,
    chrF without, with two lines before, with two before and after: es 73.2, 72.6, 63.5; ja 20.2, 11.2, 13.5; de 64.9
    without, 57.8 with both.
    """

    name: ClassVar[str] = "llama"
    cpu_only: ClassVar[bool] = True
    packages: ClassVar[tuple[str, ...]] = ("xllamacpp",)
    licence: ClassVar[Licence] = Licence("Apache-2.0")

    def __init__(self, options: EngineOptions, weights: WeightFiles) -> None:
        self._options = options
        (path,) = sorted(weights.path(options.model or WEIGHTS).glob("*.gguf"))[:1]
        with patient_threads():
            import xllamacpp
        self._model = shared_model(xllamacpp, path, options.threads)

    @classmethod
    def weights(cls, options: EngineOptions) -> tuple[str, ...]:
        return (options.model or WEIGHTS,)

    def languages(self) -> set[tuple[str, str]] | None:
        return None

    def translate(
        self, lines: Sequence[Line], source: str, target: str, count: int, seed: int = 0
    ) -> list[list[Hypothesis]]:
        return [self._line(line, source, target, count, seed) for line in lines]

    def _line(self, line: Line, source: str, target: str, count: int, seed: int) -> list[Hypothesis]:
        if TO_A_MODEL.search(line.text) and source in REPORTED:
            reported = [answer for part in sentences(line.text) for answer in self._reported(part, source, target)]
            if len(reported) == len(sentences(line.text)):
                return [joined(reported, target)]
        parts = [Line(part, terms=tuple(used(dict(line.terms), part).items())) for part in sentences(line.text)]
        if tight(line):
            # A shorter version may leave a sentence out, so the line is seen as a whole.
            parts = [line]
        versions = self._versions(parts, source, target)
        first = joined([best for best, *_ in versions], target)
        long = line.max_chars is not None and spoken_characters(first.text) > LONG * line.max_chars
        candidates = [first]
        if count > 1 and any(len(part) > 1 for part in versions):
            candidates.append(joined([part[-1] for part in versions], target))
        if count > len(candidates) and (long or first.score < UNSURE or seed != self._options.seed):
            sampling = {
                "temperature": TEMPERATURE,
                "top_p": TOP_P,
                "n": min(count - len(candidates), MAX_CANDIDATES),
                "seed": seed,
            }
            drawn = [self._ask(part, source, target, **sampling) for part in parts]
            others = [joined(versions, target) for versions in zip(*drawn, strict=False)]
            candidates += sorted(others, key=lambda candidate: -candidate.score)
        return list({candidate.text: candidate for candidate in candidates}.values())

    def _versions(self, parts: Sequence[Line], source: str, target: str) -> list[list[Hypothesis]]:
        """Of each sentence of a line the likeliest translation, and others that were looked at; best first."""
        return [self._ask(part, source, target, temperature=0) for part in parts]

    def _reported(self, text: str, source: str, target: str) -> list[Hypothesis]:
        """The likeliest translation of a sentence as somebody's words; none when the quotation marks are lost."""
        quotation = Line(REPORTED[source].format(text.replace("“", "").replace("”", "")))
        (answer,) = self._ask(quotation, source, target, temperature=0)
        speech = quoted(answer.text)
        return [Hypothesis(text=tidy(speech, target), score=answer.score)] if speech else []

    def _ask(
        self, line: Line, source: str, target: str, pivots: Mapping[str, str] | None = None, /, **sampling: float
    ) -> list[Hypothesis]:
        """Answers with their mean log-probability a token.

        Args:
            pivots: The line in other languages, shown after it; only for a line that goes into a list.

        Raises:
            EngineError: ``line_failed``.
        """
        as_list = listed(source, target) and not tight(line) and not line.terms
        examples = Examples(source, target, as_list, tuple(pivots or ()))
        shown = "\n".join([line.text, *(f"{languages.name(code)}: {text}" for code, text in (pivots or {}).items())])
        request = {
            "max_tokens": max_tokens(line.text),
            "stop": ["\n"],
            "logprobs": 1 if as_list else True,
            **({} if as_list else {"top_logprobs": 1}),
            **sampling,
        }
        with self._model.lock:
            slot = self._slot_for(examples, line.text)
            answer = self._complete(examples, shown if as_list else question(line, target), slot, **request)
            if sampling.get("n", 1) > 1:
                # The candidates were written side by side, each in a slot: whatever that held is gone.
                self._model.slots.clear()
        return [
            Hypothesis(
                text=tidy(choice["text"] if "text" in choice else choice["message"]["content"], target),
                score=mean_logprob(choice),
            )
            for choice in answer["choices"]
        ]

    def _slot_for(self, examples: Examples, text: str) -> PromptSlot:
        """The slot that holds the examples and, after them, nothing that ``text`` begins with.

        What two prompts have in common is not read again: a beginning that the last line shares with this one would
        be taken over from it, so it is overwritten first.
        """
        slot = self._model.slots.pop(examples, None)
        read = slot is not None
        if slot is None:
            free = set(range(SLOTS)) - {taken.number for taken in self._model.slots.values()}
            slot = PromptSlot(min(free) if free else self._model.slots.pop(next(iter(self._model.slots))).number)
            if self._model.restore(slot.number, beginning(examples)):
                slot.last = FILLER.encode()
        if not slot.last or slot.last[:1] == text.encode()[:1]:
            self._complete(examples, FILLER, slot, max_tokens=1, cache_prompt=read)
            if not read:
                self._model.keep(slot.number, beginning(examples))
        slot.last = text.encode()
        self._model.slots[examples] = slot
        return slot

    def _complete(self, examples: Examples, text: str, slot: PromptSlot, **request: Any) -> dict[str, Any]:
        """What the model goes on with after the examples and ``text``.

        Raises:
            EngineError: ``line_failed``.
        """
        source, target, as_list, _ = examples
        request = {"id_slot": slot.number, "cache_prompt": True, **request}
        if as_list:
            prompt = beginning(examples) + f"{languages.name(source)}: {text}\n{languages.name(target)}:"
            answer = self._model.server().handle_completions({**request, "prompt": prompt})
        else:
            messages = [*conversation(source, target), {"role": "user", "content": text}]
            answer = self._model.server().handle_chat_completions({**request, "messages": messages})
        reply: dict[str, Any] = json.loads(answer) if isinstance(answer, str) else answer
        if "choices" not in reply:
            self._model.slots.clear()
            message = reply.get("error", {}).get("message", "no answer")
            raise EngineError(f"The language model gave no answer: {message}.", code="line_failed", retryable=True)
        return reply


@contextmanager
def patient_threads() -> Iterator[None]:
    """Threads of the OpenMP runtime loaded inside sleep while they wait for one another.

    The default is to spin; where another program has one of the cores, that makes every step wait for the scheduler
    (measured on two busy cores: 5 times slower). The runtime reads the variable once, when it is loaded.
    """
    before = os.environ.get(WAIT_POLICY)
    os.environ.setdefault(WAIT_POLICY, "PASSIVE")
    try:
        yield
    finally:
        if before is None:
            del os.environ[WAIT_POLICY]


def joined(parts: Sequence[Hypothesis], target: str) -> Hypothesis:
    """Sentences put together; the score is their mean weighted by length."""
    size = sum(len(part.text) for part in parts) or 1
    text = ("" if target in UNSPACED else " ").join(part.text for part in parts)
    return Hypothesis(text=text, score=sum(part.score * len(part.text) for part in parts) / size)


def quoted(text: str) -> str:
    """What stands between the first quotation mark and the last; nothing where there are not two."""
    first = min((place for mark in '"“„«「『' if (place := text.find(mark)) >= 0), default=len(text))
    last = max(text.rfind(mark) for mark in '"”“»」』')
    return text[first + 1 : last].strip()


def tidy(text: str, target: str) -> str:
    """Without quotes around it, and in Spanish without an opening mark that is never closed."""
    text = text.strip()
    for opening, closing in ('""', "“”", "«»", "「」"):
        if len(text) > 2 and text[0] == opening and text[-1] == closing and opening not in text[1:-1]:
            text = text[1:-1].strip()
    if target == "es":
        for opening, closing in ("¡!", "¿?"):
            if text.startswith(opening) and closing not in text:
                text = text[1:]
            elif closing in text and opening not in text:
                text = opening + text
    return text


def mean_logprob(choice: Mapping[str, Any]) -> float:
    tokens = [token["logprob"] for token in (choice.get("logprobs") or {}).get("content") or []]
    usable = [max(value, -20.0) for value in tokens if value is not None and not math.isnan(value)]
    return sum(usable) / len(usable) if usable else -20.0


@lru_cache
def shots(*codes: str) -> tuple[tuple[str, ...], ...]:
    """Example lines that exist in all these languages."""
    table = tomllib.loads((resources.files(__package__) / "shots.toml").read_text(encoding="utf-8"))
    return tuple(tuple(shot[code] for code in codes) for shot in table["shots"] if set(codes) <= set(shot))


def listed(source: str, target: str) -> bool:
    """Whether the model goes on with a list of examples or answers in a conversation.

    In chrF the two are even over es, it and de and the conversation is better in ja; the list is faster.
    """
    return target not in UNSPACED and bool(shots(source, target))


# What comes before every line of a pair is the same each time, so that the model need not read it again.


@lru_cache
def listing(source: str, target: str, pivots: tuple[str, ...] = ()) -> str:
    codes = (source, *pivots, target)
    lines = [zip(codes, shot, strict=True) for shot in shots(*codes)]
    return "".join("".join(f"{languages.name(code)}: {text}\n" for code, text in shot) + "\n" for shot in lines)


@lru_cache
def conversation(source: str, target: str) -> tuple[dict[str, str], ...]:
    system = PROMPT.format(source=languages.name(source), target=languages.name(target))
    messages = [{"role": "system", "content": system}]
    for given, wanted in shots(source, target):
        messages += [{"role": "user", "content": given}, {"role": "assistant", "content": wanted}]
    return tuple(messages)


def beginning(examples: Examples) -> str:
    """What stands before every line, as the list that the model goes on with or as JSON of the conversation."""
    if examples.as_list:
        return listing(examples.source, examples.target, examples.pivots)
    return json.dumps(conversation(examples.source, examples.target), ensure_ascii=False)


def tight(line: Line) -> bool:
    """Whether a line has clearly less room than its own length."""
    return line.max_chars is not None and line.max_chars < TIGHT * spoken_characters(line.text)


def question(line: Line, target: str) -> str:
    """The line, with the words to use for its terms, and a word limit where it is tight."""
    instructions = [f"Translate “{term}” as “{wanted}”." for term, wanted in line.terms]
    if tight(line):
        assert line.max_chars is not None
        words = max(line.max_chars // CHARACTERS_PER_WORD, 1)
        instructions.append(f"Shorten: at most {words} {languages.name(target)} words.")
    return f"{line.text}\n({' '.join(instructions)})" if instructions else line.text


def max_tokens(text: str) -> int:
    """Room for twice the line's length: scripts other than Latin take about a token a character."""
    return 24 + spoken_characters(text)
