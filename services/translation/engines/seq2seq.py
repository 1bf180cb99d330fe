"""Encoder–decoder translation models through transformers: what all families share."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Sequence
from typing import Any, ClassVar

from services.translation.codes import find
from services.translation.engines.unknown_characters import KnownText
from services.translation.sentences import combine, fitting, sentences
from shared.core import languages
from shared.core.errors import EngineError, UsageError
from shared.core.records import Hypothesis
from shared.core.text import spoken_characters
from shared.engines.accelerator import (
    BatchSize,
    in_batches,
    out_of_memory,
    release,
    torch_device,
    torch_dtype,
    within_memory,
)
from shared.engines.protocols import EngineOptions, Licence, Line, WeightFiles
from shared.observability.internal_errors import summary
from shared.weights.local import (
    absent,
    is_hub_name,
    local_digests,
    located,
    may_download,
    registered_names,
    repositories,
    revision,
)

BEAMS = 5
BATCH = 16
"""Sentences at once; ``extra["batch_size"]``. It is halved for good where the memory does not suffice."""
SCORED_AT_ONCE = 8
"""Candidates whose log-probabilities are counted in one pass: a vocabulary of 256,000 makes them large."""
LONGEST = 128
"""Tokens of a sentence. The models know longer ones from their training only as several, and forget some."""
TIGHT = 0.8
"""Below this share of the source's length, shorter candidates are looked for."""

Way = tuple[str, float, int]
"""Text, mean log-probability a token, number of tokens."""


class Seq2SeqTranslator:
    """See :class:`shared.engines.protocols.Translator`. Families say how languages are named and forced.

    A line is translated sentence by sentence, because the models drop sentences; sentences of many lines go through the
    model together. The engine's own seed gives the beam search's ``count`` best; another seed samples within the beams,
    and where the line is tight prefers what is short. Scores are mean log-probabilities a token, counted anew, so that
    they compare whatever way a candidate was found. The neighbouring lines change nothing.

    The first candidates do not depend on what else is in the batch, but for the last digits of sums.
    """

    name: ClassVar[str]
    packages: ClassVar[tuple[str, ...]] = ("sentencepiece", "torch", "transformers")
    licence: ClassVar[Licence]
    default: ClassVar[str]
    """The model where the settings name none: a hub's ``OWNER/NAME``."""
    memory_mb: ClassVar[int]
    """On a card, of the default model with a full batch: reckoned from its parameters in float16, and rounded up."""
    types: ClassVar[tuple[str, ...]]
    """``model_type`` of the configurations of the family."""
    half: ClassVar[str] = "float16"
    """What it computes in on a card where the settings name nothing."""
    prompt: ClassVar[int] = 1
    """Tokens that every output starts with: the decoder's start, for some families the language."""

    def __init__(self, options: EngineOptions, weights: WeightFiles) -> None:
        import sentencepiece  # noqa: F401 (the tokenizers need it and say so less clearly)
        import torch
        import transformers

        transformers.utils.logging.disable_progress_bar()
        transformers.utils.logging.set_verbosity_error()
        self._torch, self._transformers = torch, transformers
        self._options = options
        self._device, self._dtype = torch_device(options), torch_dtype(options, self.half)
        self._batch = BatchSize(int(options.extra.get("batch_size") or BATCH))
        self._place = str(located(options, weights, self.default))
        self._files = {
            "local_files_only": not may_download(options),
            "revision": revision(options),
        }
        self._model: Any = None
        self._lock = threading.RLock()
        self._config = self._read(transformers.AutoConfig)
        if self._config.model_type not in self.types:
            raise EngineError(
                f"The model is of the type “{self._config.model_type}”, which the engine “{self.name}” does not know.",
                code="bad_model",
            )
        self._tokenizer = self._read(transformers.AutoTokenizer)
        self._known_text = KnownText(self._knows)
        self._sources, self._targets = self.codes()
        if not self._sources or not self._targets:
            raise EngineError(
                f"The model names no languages as the engine “{self.name}” expects them.", code="bad_model"
            )
        positions = int(getattr(self._config, "max_position_embeddings", 0) or 4 * LONGEST) - 8
        self._limit, self._room = min(LONGEST, positions), min(2 * LONGEST, positions)

    @classmethod
    def weights(cls, options: EngineOptions) -> tuple[str, ...]:
        return registered_names(options, cls.default)

    @classmethod
    def digests(cls, options: EngineOptions) -> dict[str, str]:
        """Hashes of a model that is not in the registry; part of what names the results."""
        return local_digests(options, cls.default)

    @classmethod
    def absent(cls, options: EngineOptions, language: str) -> tuple[str, ...]:
        return absent(options, cls.default)

    @classmethod
    def repositories(cls, options: EngineOptions, language: str) -> tuple[str, ...]:
        return repositories(options, cls.default)

    def languages(self) -> set[tuple[str, str]] | None:
        return {(source, target) for source in self._sources for target in self._targets if source != target}

    def together(self, source: str, target: str) -> int:
        """Lines best given in one call."""
        return self._batch.size

    def translate(
        self, lines: Sequence[Line], source: str, target: str, count: int, seed: int = 0
    ) -> list[list[Hypothesis]]:
        first, second = self._code(self._sources, source), self._code(self._targets, target)
        drawn = seed != self._options.seed
        tight = drawn and any(is_tight(line) for line in lines)
        with self._lock:
            model = self._loaded()
            texts = [self._known_text(line.text) for line in lines]
            parts = [[cut for part in sentences(text) for cut in fitting(part, self._fits)] for text in texts]

            def run(texts: list[str]) -> list[list[Way]]:
                with self._torch.inference_mode(), self._torch.random.fork_rng():
                    self._torch.manual_seed(seed)
                    return self._translate(model, texts, first, second, max(count, 1), drawn=drawn, tight=tight)

            flat = [part for line in parts for part in line]
            ways = iter(in_batches(flat, run, self._batch, len))
        return [combine([next(ways) for _ in line], max(count, 1), target) for line in parts]

    # What families say.

    def codes(self) -> tuple[dict[str, str], dict[str, str]]:
        """The model's own codes by ISO 639-1, of source and target languages."""
        raise NotImplementedError

    def encode(self, texts: Sequence[str], source: str, target: str) -> Any:
        """Token ids and mask, padded; languages in the model's own codes."""
        self._tokenizer.src_lang = source
        return self._tokenizer(list(texts), return_tensors="pt", padding=True, truncation=True)

    def forced(self, target: str) -> dict[str, Any]:
        """Arguments of ``generate`` that make the output ``target``."""
        return {"forced_bos_token_id": self._tokenizer.convert_tokens_to_ids(target)}

    # Inside.

    def _code(self, codes: dict[str, str], language: str) -> str:
        code = find(codes, language)
        if code is None:
            raise UsageError(
                f"The translation model does not know {languages.name(language)}.",
                code="unsupported_pair",
                language=language,
            )
        return code

    def _knows(self, text: str) -> bool:
        """Whether no token is the unknown one, which some released tokenizers give another special token's id."""
        special = set(self._tokenizer.all_special_ids)
        return special.isdisjoint(self._tokenizer(text, add_special_tokens=False)["input_ids"])

    def _fits(self, text: str) -> bool:
        return len(text) < self._limit or len(self._tokenizer(text)["input_ids"]) <= self._limit

    def _translate(
        self, model: Any, texts: list[str], source: str, target: str, count: int, *, drawn: bool, tight: bool
    ) -> list[list[Way]]:
        inputs = self.encode(texts, source, target).to(self._device)
        outputs = model.generate(
            **inputs,
            **self.forced(target),
            num_beams=max(BEAMS, count),
            num_return_sequences=count,
            do_sample=drawn,
            length_penalty=0.0 if tight else 1.0,
            early_stopping=True,
            max_new_tokens=self._room,
        )
        ways = self._scored(model, inputs, outputs, count)
        return [ways[start : start + count] for start in range(0, len(ways), count)]

    def _scored(self, model: Any, inputs: Any, outputs: Any, count: int) -> list[Way]:
        """The candidates with their scores, ``count`` to each input, in the order of ``generate``."""
        torch = self._torch
        rows = torch.arange(outputs.shape[0], device=outputs.device) // count
        sizes = self._sizes(outputs)
        scores: list[float] = []
        for start in range(0, outputs.shape[0], SCORED_AT_ONCE):
            part, size = outputs[start : start + SCORED_AT_ONCE], sizes[start : start + SCORED_AT_ONCE]
            given = {name: tensor[rows[start : start + SCORED_AT_ONCE]] for name, tensor in inputs.items()}
            logits = model(**given, decoder_input_ids=part[:, :-1]).logits[:, self.prompt - 1 :].float()
            targets = part[:, self.prompt :]
            likely = logits.gather(-1, targets.unsqueeze(-1)).squeeze(-1) - logits.logsumexp(-1)
            inside = torch.arange(targets.shape[1], device=targets.device) < size.unsqueeze(-1)
            total = likely.masked_fill(~inside, 0.0).sum(-1)
            scores += (total / size.clamp(min=1)).clamp(min=-100.0).tolist()
        texts = self._tokenizer.batch_decode(outputs[:, self.prompt :], skip_special_tokens=True)
        return [(text.strip(), score, size) for text, score, size in zip(texts, scores, sizes.tolist(), strict=True)]

    def _sizes(self, outputs: Any) -> Any:
        """Tokens of each output after the prompt, the end included."""
        is_end = outputs[:, self.prompt :] == self._tokenizer.eos_token_id
        ends = is_end.int().argmax(-1) + 1
        return self._torch.where(is_end.any(-1), ends, self._torch.full_like(ends, is_end.shape[1]))

    def _loaded(self) -> Any:
        if self._model is None:
            if self._device.type == "cpu":
                self._torch.set_num_threads(max(1, self._options.threads))
            kind = self._transformers.AutoModelForSeq2SeqLM
            with within_memory():
                self._model = self._read(kind, dtype=self._dtype).to(self._device).eval()
            # Given with every call; both together are warned of.
            self._model.generation_config.max_length = None
        return self._model

    def release(self) -> None:
        """Give the memory back; the next call loads anew."""
        with self._lock:
            self._model = None
        release()

    def _read(self, kind: Any, **settings: Any) -> Any:
        """Raises EngineError ``weights_missing`` when the hub's model is not here, else ``engine_load_failed``."""
        try:
            with warnings.catch_warnings():
                # “Recommended: pip install sacremoses”: punctuation is normal already.
                warnings.simplefilter("ignore")
                return kind.from_pretrained(self._place, **self._files, **settings)
        except ImportError:
            raise
        except Exception as error:
            if out_of_memory(error):
                raise
            name = self._options.model or self.default
            if isinstance(error, OSError) and self._place == name and is_hub_name(name):
                raise EngineError(
                    f"The model “{name}” is not on this machine. Run `counterdub models pull {name}`, give a folder as "
                    "translation.model, or let it be fetched with allow_download.",
                    code="weights_missing",
                ) from error
            raise EngineError(f"The model could not be loaded: {summary(error)}", code="engine_load_failed") from error


def is_tight(line: Line) -> bool:
    return line.max_chars is not None and line.max_chars < TIGHT * spoken_characters(line.text)
