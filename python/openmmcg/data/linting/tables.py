"""Findings of the lint as tables on the console."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from openmmcg.mapping import Finding

_COLOURS = {"error": "bold red", "warning": "yellow", "info": "green"}
_COLUMNS = (("inter_min", ".3f"), ("onset", ".3f"), ("gap", "+.3f"))


def print_findings(findings: list[Finding], title: str) -> None:
    """Print the findings, and the distances behind a gap."""
    console = Console()
    table = Table(title=title, title_justify="left", show_lines=True)
    for column in ("severity", "check"):
        table.add_column(column, no_wrap=True)
    for column in ("finding", "cure"):
        table.add_column(column, overflow="fold", ratio=1)
    for finding in findings:
        severity = f"[{_COLOURS[finding.severity]}]{finding.severity}[/]"
        text = f"{finding.title}. {finding.message}"
        if finding.picture is not None:
            text += f" Picture: {finding.picture}"
        table.add_row(severity, finding.kind, escape(text), escape(finding.cure))
    console.print(table)
    for finding in findings:
        if finding.kind == "gap" and "pairs" in finding.numbers:
            console.print(_distances(finding.numbers))


def _distances(numbers: dict[str, Any]) -> Table:
    table = Table(title="Distances in nm", title_justify="left")
    heads = ("types", "bond mean (min-max)", "inter min", "g(r)>0.01 at", "gap")
    for head in (*heads, "nearest neighbour in another molecule"):
        table.add_column(head)
    rows = [("all", numbers), *(("-".join(row["types"]), row) for row in numbers["pairs"])]
    for name, row in rows:
        share = row.get("foreign_neighbour_fraction")
        table.add_row(
            escape(name),
            f"{row['bond_mean']:.3f} ({row['bond_min']:.3f}-{row['bond_max']:.3f})",
            *("-" if row[key] is None else format(row[key], form) for key, form in _COLUMNS),
            "" if share is None else f"{100 * share:.3g} %",
        )
    return table
