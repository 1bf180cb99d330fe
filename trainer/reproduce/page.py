"""The miniature's page: claims first, then the table, differences, sweeps; needs no other file."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Any

from trainer.evaluation.results.page import STYLE, differences
from trainer.evaluation.results.page import values as values_table
from trainer.evaluation.results.table import Table
from trainer.reproduce.variants import MAIN

OWN = """
.holds { color: var(--good); font-weight: 700; } .not { color: var(--bad); font-weight: 700; }
td.text { white-space: normal; text-align: left; }
"""
MARKS = {"holds": "holds", "does not hold": "not", "undecided": "dim"}


def page(summary: Mapping[str, Any], tables: Mapping[str, Table]) -> str:
    """HTML of :func:`trainer.reproduce.summary.summarise`'s dictionary and tables."""
    main = summary["main_measure"]
    folds = len(summary["seeds"])
    small = "" if folds > 2 else " <b>This is a smoke run: it shows that everything runs and decides nothing.</b>"
    body = [
        "<h1>The controlled comparison in miniature</h1>",
        f"<p>A synthetic cinema, {folds} fold(s) of ESC-10, {summary['scale']['steps']} steps a training."
        f" Main measure, named beforehand: {escape(main['metric'])}, {main['one']} − {main['other']}.{small}</p>",
        claims(summary["claims"]),
        "<h2>All columns</h2>",
        transposed(tables[MAIN]),
        metrics(summary),
        differences(only_compared(tables[MAIN])),
    ]
    for group, table in tables.items():
        if group != MAIN:
            body += [f"<h2>Sweep: {escape(group)}</h2>", values_table(table), differences(only_compared(table))]
    body.append(
        "<p class=dim>± is the standard deviation over folds. An interval of a claim is the wider of two: a paired "
        "bootstrap over source recordings, and Student's t over folds. p is corrected for all contrasts (Holm), "
        "but for the main measure.</p>"
    )
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f"<title>Miniature</title><style>{STYLE}{OWN}</style><body>{''.join(body)}</body></html>\n"
    )


def claims(rows: list[dict[str, Any]]) -> str:
    lines = []
    for row in rows:
        contrasts = "<br>".join(
            f"{part['metric']}: {escape(part['one'])} − {escape(part['other'])} {100 * part['difference']:+.1f} "
            f"[{100 * part['interval'][0]:+.1f}, {100 * part['interval'][1]:+.1f}]{paper(part)}"
            for part in row["contrasts"]
        )
        lines.append(
            f"<tr><td class={MARKS[row['verdict']]}>{row['verdict']}</td><td class=text>{escape(row['text'])}<br>"
            f"<small>{escape(row['source'])}</small></td><td>{contrasts or '–'}</td></tr>"
        )
    return (
        "<h2>Claims</h2><div class=wide><table><tr><th>verdict</th><th>claim</th>"
        f"<th>difference in points, 95 % interval</th></tr>{''.join(lines)}</table></div>"
    )


def paper(part: Mapping[str, Any]) -> str:
    """The paper's own difference on the nearest of its tasks."""
    if part["paper"] is None:
        return ""
    return f" <small>paper, {escape(part['published'])}: {100 * part['paper']:+.1f}</small>"


def transposed(table: Table) -> str:
    """One line a training, one column a metric, per cent: the form of Tables B.3 and B.4."""
    head = "".join(f"<th>{escape(row.metric)}</th>" for row in table.rows)
    lines = []
    for label in table.labels:
        cells = []
        for row in table.rows:
            cell = row.cells.get(label)
            if cell is None or cell.value is None:
                cells.append("<td>–</td>")
            else:
                spread = f" <small>± {100 * cell.sd:.1f}</small>" if cell.sd is not None else ""
                cells.append(f"<td>{100 * cell.value:.1f}{spread}</td>")
        lines.append(f"<tr><td>{escape(label)}</td>{''.join(cells)}</tr>")
    return f"<div class=wide><table><tr><th>training</th>{head}</tr>{''.join(lines)}</table></div>"


def metrics(summary: Mapping[str, Any]) -> str:
    lines = "".join(
        f"<tr><td>{escape(name)}</td><td class=text>{escape(text)}</td><td>{100 * summary['chance'][name]:.1f}</td>"
        f"<td>{'transfer' if name in summary['transfer'] else 'the world of the training'}</td></tr>"
        for name, text in summary["metrics"].items()
    )
    return f"<table><tr><th>metric</th><th>what</th><th>chance</th><th>kind</th></tr>{lines}</table>"


def only_compared(table: Table) -> Table:
    """With the metric as a row's title, which is what tells these rows apart."""
    return table._replace(rows=tuple(row._replace(title=row.metric) for row in table.rows))
