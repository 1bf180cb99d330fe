"""RESIDUAL: the background heard again. Which words of the original does somebody still understand there?

All synthetic tracks share the background to the last bit, so one hearing holds for every dub: where a dub is silent it
*is* the background, and where it speaks it hides it.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from services.transcription.recognition.left_speech import judge, listen
from services.transcription.recognition.windows import read_speech
from shared.core.records import SAMPLE_RATE, Chunk, Utterance, read_json, read_jsonl, read_list, write_jsonl
from shared.pipeline.stage import Scope, Work
from shared.settings.models import QualitySettings


def run(
    scope: Scope, inputs: Mapping[str, Path], settings: QualitySettings, engines: Mapping[str, Any], work: Work
) -> dict[str, Path]:
    """``residual.jsonl``: what is heard in the background of a chunk and how much it is believed; title times.

    Inputs: ``chunks.json``, ``language.json``, ``utterances.jsonl`` (of the title), ``background.flac``.
    """
    chunks = read_list(inputs["chunks.json"], Chunk)
    chunk = next(chunk for chunk in chunks if chunk.index == scope.chunk)
    offset = chunk.start / SAMPLE_RATE
    language = read_json(inputs["language.json"])["language"]
    utterances = [
        line.model_copy(update={"start": line.start - offset, "end": line.end - offset})
        for line in read_jsonl(inputs["utterances.jsonl"], Utterance)
    ]
    background = read_speech(inputs["background.flac"])
    sentences = listen(background, language, engines, work.progress)
    left = [judge(sentence, utterances, language or "") for sentence in sentences]
    moved = [item.model_copy(update={"start": item.start + offset, "end": item.end + offset}) for item in left]
    work.progress(1.0)
    return {"residual.jsonl": write_jsonl(work.path("residual.jsonl"), moved)}
