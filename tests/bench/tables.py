"""Results as Markdown: tables, and the page that holds one section for each part. Pure."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Table:
    """A table with a caption and remarks."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    notes: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class PartResult:
    """What a part has found.

    Attributes:
        tables: to be shown, and to be written into the page.
        ratios: by name, of two things measured in turn in the same run: they depend little on
            the machine. More is better.
    """

    tables: Sequence[Table]
    ratios: dict[str, float] = field(default_factory=dict)


def render(table: Table) -> str:
    """A table as Markdown, its columns aligned for whoever reads the text."""
    cells = [[_escape(cell) for cell in row] for row in [table.columns, *table.rows]]
    widths = [max(len(row[column]) for row in cells) for column in range(len(table.columns))]
    lines = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |"
        for row in cells
    ]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    text = f"### {table.title}\n\n" + "\n".join(lines) + "\n"
    return text + "".join(f"\n{note}\n" for note in table.notes)


def _escape(cell: str) -> str:
    return cell.replace("|", "\\|")


def section(name: str, title: str, head: str, tables: Sequence[Table]) -> str:
    """A part's section of the page, between its marks."""
    body = "\n".join(render(table) for table in tables)
    return f"{_begin(name)}\n## {title}\n\n{head}\n\n{body}{_end(name)}\n"


def with_section(page: str, name: str, text: str) -> str:
    """The page with a section put in its place, or at the end when it is new."""
    place = re.compile(re.escape(_begin(name)) + ".*?" + re.escape(_end(name)) + "\n?", re.DOTALL)
    if place.search(page):
        return place.sub(lambda _: text, page, count=1)
    return page.rstrip("\n") + "\n\n" + text


def _begin(name: str) -> str:
    return f"<!-- {name}: written by `make bench` -->"


def _end(name: str) -> str:
    return f"<!-- end of {name} -->"


def number(value: float, digits: int = 3) -> str:
    """A number with so many significant digits, whole ones all of them, without an exponent."""
    if value == 0:
        return "0"
    decimals = digits - 1 - math.floor(math.log10(abs(value)))
    return f"{value:.{max(0, decimals)}f}"
