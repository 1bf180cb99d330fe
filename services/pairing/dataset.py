"""Dataset: the tables and the report of a whole run, of all titles of the output folder."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from services.pairing.acceptance.merged_tables import merge_run
from services.pairing.report import page, run_statistics
from services.pairing.report.title_facts import read_titles
from services.pairing.stage import QUEUE, no_engines
from shared.pipeline.stage import Scope, Stage, Work
from shared.schemas.pairs import PairRow
from shared.settings.models import FitSettings, PairingSettings, ReportSettings, Section, Settings


class DatasetOptions(Section):
    """What tables and report depend on."""

    report: ReportSettings
    pairing: PairingSettings
    fit: FitSettings


def options(settings: Settings) -> DatasetOptions:
    return DatasetOptions(report=settings.report, pairing=settings.pairing, fit=settings.dubbing.fit)


def run(
    scope: Scope, inputs: Mapping[str, Path], settings: DatasetOptions, engines: Mapping[str, Any], work: Work
) -> dict[str, Path]:
    """Merge what the titles left into ``pairs.parquet``, ``rejects.parquet``, ``report.json`` and ``report.html``.

    ``scope.extra`` names ``titles`` and gives the errors of those that ``failed``. Inputs, each below ``<title>/`` and
    any of them missing where a title failed: ``title.json``, ``pairs.jsonl``, ``rejects.jsonl``, ``quality.json``,
    ``preview.<track>.json``, ``cast.<lang>.json``, ``utterances/<label>.jsonl``.
    """
    titles = read_titles(inputs, list(scope.extra["titles"]), scope.extra.get("failed") or {})
    outputs = {name: work.path(name) for name in ("pairs.parquet", "rejects.parquet", "report.html", "report.json")}

    def paths(name: str) -> list[Path]:
        return [path for title in titles if not title.error and (path := title.path(name))]

    def failures() -> Iterator[PairRow]:
        for title in titles:
            yield from title.failures()
            title.release()

    merge_run(
        paths("pairs.jsonl"), paths("rejects.jsonl"), outputs["pairs.parquet"], outputs["rejects.parquet"], failures()
    )
    work.progress(0.2)
    report = run_statistics.count(titles, settings.pairing, settings.fit)
    work.progress(0.5)
    report = page.make(titles, report, settings.report, outputs["report.html"])
    outputs["report.json"].write_text(report.model_dump_json(indent=1) + "\n", encoding="utf-8")
    return outputs


STAGE = Stage("dataset", 3, run, options, no_engines, QUEUE)
