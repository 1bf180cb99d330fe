"""The page itself: one HTML file with everything in it. Titles and texts are hostile; the templates escape them."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from services.pairing.report import charts, overview
from services.pairing.report.lines import CastRow, LineTable, cast_rows, line_table
from services.pairing.report.measures import MEASURES
from services.pairing.report.schema import MediaShown, RunReport
from services.pairing.report.shot_players import Listening, listen
from services.pairing.report.title_facts import TitleFiles, track_name
from shared.schemas.layout import CONTROL, ORIG
from shared.schemas.reasons import TEXTS
from shared.settings.models import ReportSettings

MAX_TABLE_TITLES = 500
DUB_GOAL, ORIG_GOAL = 0.55, 0.60
"""AUC up to which a shortcut probe is taken for chance: control against dub, original against dub."""


@dataclass(frozen=True)
class TitleView:
    """One title in detail."""

    anchor: str
    files: TitleFiles
    facts: list[overview.Fact]
    cast: list[CastRow]
    listening: Listening
    lines: LineTable
    tracks: list[str]
    names: dict[str, str]
    failures: list[Any]
    notes: list[str]


def title_views(
    titles: Sequence[TitleFiles], report: RunReport, palette: charts.Palette, settings: ReportSettings
) -> list[TitleView]:
    """The first titles that are done, sharing what a page may weigh."""
    detailed = [title for title in titles if not title.error][: settings.max_titles_with_media]
    views = []
    left = settings.max_media_bytes
    for number, title in enumerate(detailed):
        shown = listen(title, palette, left // (len(detailed) - number), settings.max_lines_per_title)
        left -= shown.bytes
        views.append(
            TitleView(
                anchor=f"title-{number + 1}",
                files=title,
                facts=overview.title_facts(title),
                cast=cast_rows(title, title.tracks),
                listening=shown,
                lines=line_table(title, palette, report.thresholds, settings.max_lines_per_title, len(titles) > 1),
                tracks=title.tracks,
                names={track: track_name(track, title.language(track)) for track in title.tracks},
                failures=title.failures(),
                notes=[note["message"] for note in title.record.get("notes") or []],
            )
        )
    return views


def media_shown(views: Sequence[TitleView], report: RunReport) -> MediaShown:
    return MediaShown(
        titles=len(views),
        titles_total=len(report.titles),
        shots=sum(len(view.listening.shots) for view in views),
        kept_shots_total=sum(title.kept_shots for title in report.titles),
        bytes=sum(view.listening.bytes for view in views),
    )


def write_page(report: RunReport, views: Sequence[TitleView], palette: charts.Palette, out: Path) -> None:
    """Render ``report.html``, piece by piece."""
    style, script = asset("report.css"), asset("report.js")
    template = environment().get_template("report.html")
    stream = template.stream(
        style=Markup(style),  # noqa: S704 (our own file)
        script=Markup(script),  # noqa: S704
        policy=policy(style, script),
        report=report,
        views=views,
        colour=palette,
        facts=overview.run_facts(report),
        names=overview.track_names(report),
        measures=MEASURES,
        reason_texts={reason.value: text for reason, text in TEXTS.items()},
        warnings=overview.warnings(report.engines),
        listed=report.titles[:MAX_TABLE_TITLES],
        detailed={view.files.name: view.anchor for view in views},
        rejected_parts={reason: rejected_parts(tracks, palette) for reason, tracks in report.reasons_by_track.items()},
        probes=report.shortcut[:MAX_TABLE_TITLES],
        most_rejected=max(report.reasons.values(), default=0),
        longest_stage=max((spent.seconds for spent in report.timings.values()), default=0.0),
        goal=goal,
    )
    stream.enable_buffering(200)
    with out.open("wb") as file:
        stream.dump(file, encoding="utf-8")


def rejected_parts(tracks: Mapping[str, int], palette: charts.Palette) -> list[tuple[str, float, str]]:
    """Rows of one reason by track, in the order of the palette; failed titles come last."""
    known = [track for track in palette.tracks if track in tracks]
    others = sorted(tracks.keys() - set(known))
    return [
        (palette(track), tracks[track], f"{track or 'whole title'}: {tracks[track]}") for track in [*known, *others]
    ]


def goal(a: str, b: str) -> float:
    return DUB_GOAL if CONTROL in {a, b} and ORIG not in {a, b} else ORIG_GOAL


def policy(style: str, script: str) -> str:
    """Content security policy: nothing but what is in the file may be shown or run."""

    def allow(text: str) -> str:
        return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"

    return (
        f"default-src 'none'; img-src data:; media-src data:; style-src {allow(style)}; script-src {allow(script)}; "
        "base-uri 'none'; form-action 'none'"
    )


@lru_cache
def asset(name: str) -> str:
    return (resources.files("services.pairing.report") / "templates" / name).read_text(encoding="utf-8")


@lru_cache
def environment() -> Environment:
    made = Environment(
        loader=PackageLoader("services.pairing.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    filters: dict[str, Callable[..., Any]] = {
        "clock": charts.clock,
        "instant": instant,
        "number": charts.nice_number,
        "brief": charts.brief,
        "duration": overview.duration,
        "words": lambda text: text.replace("_", " "),
    }
    made.filters.update(filters)
    made.globals.update(
        shot_chart=charts.shot_chart, measure_chart=charts.measure_chart, bar=charts.bar, auc_dot=charts.auc_dot
    )
    return made


def instant(seconds: float) -> str:
    """A time as ``1:02.3``."""
    minutes, rest = divmod(round(seconds, 1), 60)
    return f"{minutes:.0f}:{rest:04.1f}"


def make(titles: Sequence[TitleFiles], report: RunReport, settings: ReportSettings, out: Path) -> RunReport:
    """Write the page; returns the report with what of the run it shows."""
    palette = charts.Palette(report.tracks)
    views = title_views(titles, report, palette, settings)
    report = report.model_copy(update={"media": media_shown(views, report)})
    write_page(report, views, palette, out)
    return report
