"""The comparison as one self-contained page: tables, and differences drawn with their intervals as inline SVG."""

from __future__ import annotations

from html import escape

from trainer.evaluation.results.table import Table, TableCell, TableRow

STYLE = """
:root { color-scheme: light dark; --ink: #1b1f24; --dim: #667; --line: #d5d9e0; --good: #0a7d38; --bad: #b3261e; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e4e7eb; --dim: #9aa4b2; --line: #3a414c; --good: #5cc98a; --bad: #ff8a80; } }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); max-width: 72rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.4rem; } h2 { font-size: 1.1rem; margin-top: 2.2rem; }
.wide { overflow-x: auto; } table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .3rem .7rem; border-bottom: 1px solid var(--line); text-align: right; white-space: nowrap; }
th:first-child, td:first-child, th:nth-child(2), td:nth-child(2) { text-align: left; }
.best { font-weight: 700; } small, .dim, caption, .published { color: var(--dim); } caption { text-align: left; }
.good { color: var(--good); } .bad { color: var(--bad); } svg { max-width: 100%; height: auto; }
svg text { font: 12px system-ui, sans-serif; fill: var(--ink); } .axis { stroke: var(--line); }
.zero { stroke: var(--dim); stroke-dasharray: 3 3; } .bar { stroke: var(--ink); stroke-width: 2; }
.dot { fill: var(--ink); } .bar.sure { stroke: var(--good); } .dot.sure { fill: var(--good); }
.bar.worse { stroke: var(--bad); } .dot.worse { fill: var(--bad); }
"""


def page(table: Table) -> str:
    """HTML of a comparison; loads nothing."""
    body = [
        "<h1>Evaluations</h1>",
        values(table),
        differences(table),
        published(table),
        f"<p class='dim'>± is the standard deviation over runs, or over folds of one run. Differences are to "
        f"{escape(table.reference)}, with 95&nbsp;% intervals of a paired bootstrap over source recordings; coloured "
        "where the interval leaves 0 out. p (Holm) is corrected for all comparisons of this page.</p>",
    ]
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f"<title>Evaluations</title><style>{STYLE}</style><body>{''.join(body)}</body></html>\n"
    )


def values(table: Table) -> str:
    head = "".join(f"<th>{escape(label)}</th>" for label in table.labels)
    lines = []
    for row in table.rows:
        best = best_of(row)
        cells = "".join(
            f"<td{' class=best' if label == best else ''}>{value_of(row.cells.get(label))}</td>"
            for label in table.labels
        )
        lines.append(f"<tr><td>{escape(row.title)}</td><td class=dim>{escape(named(row))}</td>{cells}</tr>")
    return f"<div class=wide><table><tr><th>task</th><th>metric</th>{head}</tr>{''.join(lines)}</table></div>"


def named(row: TableRow) -> str:
    return row.metric if row.higher_is_better else f"{row.metric} (lower is better)"


def best_of(row: TableRow) -> str | None:
    known = {label: cell.value for label, cell in row.cells.items() if cell.value is not None}
    if len(known) < 2:
        return None
    best = (max if row.higher_is_better else min)(known.values())
    winners = [label for label, value in known.items() if value == best]
    return winners[0] if len(winners) == 1 else None


def value_of(cell: TableCell | None) -> str:
    if cell is None or cell.value is None:
        return "–"
    spread = f" <small>± {cell.sd:.3f}</small>" if cell.sd is not None else ""
    return f"{cell.value:.3f}{spread}"


def differences(table: Table) -> str:
    drawn = [(row, label, cell) for row in table.rows for label, cell in row.cells.items() if cell.against]
    if not drawn:
        return ""
    lines = []
    for row, label, cell in drawn:
        assert cell.against is not None
        lines.append(
            f"<tr><td>{escape(row.title)}</td><td>{escape(label)} − {escape(table.reference)}</td>"
            f"<td class={colour(row, cell)}>{cell.against.difference:+.3f}</td>"
            f"<td>{cell.against.low:+.3f} … {cell.against.high:+.3f}</td><td>{cell.against.p:.4f}</td>"
            f"<td>{cell.p_holm:.4f}</td><td class=dim>{cell.against.sources}</td></tr>"
        )
    return (
        f"<h2>Differences to {escape(table.reference)}</h2>{forest(drawn)}<div class=wide><table><tr><th>task</th>"
        "<th>checkpoints</th><th>difference</th><th>95 % interval</th><th>p</th><th>p (Holm)</th><th>sources</th></tr>"
        f"{''.join(lines)}</table></div>"
    )


def colour(row: TableRow, cell: TableCell) -> str:
    """Good or bad where the interval leaves 0 out, else nothing."""
    if cell.against is None or cell.against.low <= 0 <= cell.against.high:
        return "dim"
    return "good" if (cell.against.difference > 0) == row.higher_is_better else "bad"


def forest(drawn: list[tuple[TableRow, str, TableCell]]) -> str:
    """Differences with intervals, one below the other, on one axis."""
    left, width, step = 330, 560, 22
    height = step * len(drawn) + 34
    ends = [abs(end) for _, _, cell in drawn if cell.against for end in (cell.against.low, cell.against.high)]
    reach = max([*ends, 1e-3]) * 1.08

    def x(value: float) -> float:
        return left + (value + reach) / (2 * reach) * (width - 20)

    parts = [f'<line class="zero" x1="{x(0):.1f}" x2="{x(0):.1f}" y1="4" y2="{height - 24}"/>']
    for index, (row, label, cell) in enumerate(drawn):
        assert cell.against is not None
        y = 16 + index * step
        mark = {"good": " sure", "bad": " worse"}.get(colour(row, cell), "")
        low, high, at = (x(value) for value in (cell.against.low, cell.against.high, cell.against.difference))
        parts.append(
            f'<text x="{left - 12}" y="{y + 4}" text-anchor="end">{escape(row.title)} · {escape(label)}</text>'
            f'<line class="bar{mark}" x1="{low:.1f}" x2="{high:.1f}" y1="{y}" y2="{y}"/>'
            f'<circle class="dot{mark}" cx="{at:.1f}" cy="{y}" r="4"/>'
        )
    base = height - 22
    parts.append(f'<line class="axis" x1="{left}" x2="{left + width - 20}" y1="{base}" y2="{base}"/>')
    parts += [
        f'<text x="{x(value):.1f}" y="{height - 6}" text-anchor="middle">{value:+.3f}</text>'
        for value in (-reach, -reach / 2, 0.0, reach / 2, reach)
    ]
    label = "Differences with 95 % intervals"
    return f'<svg viewBox="0 0 {left + width + 20} {height}" role="img" aria-label="{label}">{"".join(parts)}</svg>'


def published(table: Table) -> str:
    models = list(dict.fromkeys(name for row in table.rows for name in row.published))
    if not models:
        return ""
    head = "".join(f"<th>{escape(name)}</th>" for name in models)
    lines = []
    for row in table.rows:
        if not row.published:
            continue
        ours = "".join(f"<td>{value_of(row.cells.get(label))}</td>" for label in table.labels)
        theirs = "".join(f"<td class=published>{figure(row, name)}</td>" for name in models)
        lines.append(f"<tr><td>{escape(row.title)}</td><td class=dim>{escape(row.metric)}</td>{ours}{theirs}</tr>")
    own = "".join(f"<th>{escape(label)}</th>" for label in table.labels)
    return (
        "<h2>Beside the published figures</h2><div class=wide><table><caption>Tables B.1–B.4 of the supplement "
        "of arXiv 2304.05600; other data and other sizes of models than these checkpoints.</caption>"
        f"<tr><th>task</th><th>metric</th>{own}{head}</tr>{''.join(lines)}</table></div>"
    )


def figure(row: TableRow, name: str) -> str:
    value, sd = row.published.get(name, (None, None))
    if value is None:
        return "–"
    return f"{value:.3f}" + (f" <small>± {sd:.3f}</small>" if sd is not None else "")
