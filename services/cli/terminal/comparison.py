"""The comparison of evaluations as tables on a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.table import Table

if TYPE_CHECKING:
    from trainer.evaluation.results.table import Table as Comparison
    from trainer.evaluation.results.table import TableCell, TableRow


def evaluation_tables(compared: Comparison) -> list[Table]:
    """Values; differences where there are any; the published figures of the same tasks."""
    values = Table("task", "metric", *compared.labels, box=None)
    for row in compared.rows:
        cells = [value_of(row.cells.get(label)) for label in compared.labels]
        values.add_row(row.title, row.metric if row.higher_is_better else f"{row.metric} ↓", *cells)
    shown = [values]
    differences = Table("task", "difference", "", "95 % interval", "p", "p (Holm)", "sources", box=None)
    for row in compared.rows:
        for label, cell in row.cells.items():
            if cell.against is None:
                continue
            at = cell.against
            differences.add_row(
                row.title,
                f"{label} − {compared.reference}",
                f"[{style(row, cell)}]{at.difference:+.4f}[/]",
                f"{at.low:+.4f} … {at.high:+.4f}",
                f"{at.p:.4f}",
                f"{cell.p_holm:.4f}",
                str(at.sources),
            )
    if differences.row_count:
        shown.append(differences)
    published = Table("task", "published", "metric", "value", box=None)
    for row in compared.rows:
        for name, (value, sd) in row.published.items():
            published.add_row(row.title, name, row.metric, f"{value:.4f}" + (f" ± {sd:.4f}" if sd is not None else ""))
    if published.row_count:
        shown.append(published)
    return shown


def value_of(cell: TableCell | None) -> str:
    if cell is None or cell.value is None:
        return "–"
    return f"{cell.value:.4f}" + (f" ± {cell.sd:.4f}" if cell.sd is not None else "")


def style(row: TableRow, cell: TableCell) -> str:
    """Green or red where the interval leaves 0 out."""
    if cell.against is None or cell.against.low <= 0 <= cell.against.high:
        return "dim"
    return "green" if (cell.against.difference > 0) == row.higher_is_better else "red"
