"""The table of imaging-list: aligned whatever the names are, and as narrow as the terminal."""

from collections.abc import Sequence

import msgspec

from imaging.feedback.display.cells import cells, clipped
from imaging.feedback.wording import human_size, printable
from imaging.images.catalogue import Entry, Kind
from imaging.images.provenance import SidecarState

GAP = "  "
SHORTEST_REMARK = 12  # columns; what is shorter says nothing
LONGEST_NAME = 20  # columns, when they are few
CUT = "..."
DROPPED_FIRST = ("author", "covers", "date", "size")


class _Column(msgspec.Struct, frozen=True):
    title: str
    texts: list[str]
    right: bool = False
    limit: int | None = None

    @property
    def width(self) -> int:
        """That of the longest cell which respects the limit."""
        widths = map(cells, [self.title, *self.texts])
        return max(width for width in widths if self.limit is None or width <= self.limit)


def render(entries: Sequence[Entry], columns: int | None) -> list[str]:
    """The lines of the table, in so many columns of a terminal; None: as wide as it is.

    A terminal too narrow costs first the time of day, then whole columns. A name is cut only when
    the terminal is narrower than the name; a long one has a line of its own, above the rest.
    """
    table = _columns(entries, columns, "%Y-%m-%d %H:%M")
    if not _fits(table, columns):
        table = _columns(entries, columns, "%Y-%m-%d")
    for title in DROPPED_FIRST:
        if _fits(table, columns):
            break
        table = [column for column in table if column.title != title]
    lines = []
    for row in zip(*([column.title.upper(), *column.texts] for column in table), strict=True):
        name, *rest = row
        if cells(name) > table[0].width:
            lines.append(name)
            name = ""
        if name or any(rest):
            lines.append(_line([name, *rest], table))
    return lines if columns is None else [cut_to(line, columns) for line in lines]


def _columns(entries: Sequence[Entry], columns: int | None, date_format: str) -> list[_Column]:
    limit = None if columns is None else max(LONGEST_NAME, columns // 4)
    return [
        _Column("name", [_name(entry) for entry in entries], limit=limit),
        _Column("size", [_size(entry.size) for entry in entries], right=True),
        _Column("covers", [_size(entry.covered_bytes) for entry in entries], right=True),
        _Column("date", [_date(entry, date_format) for entry in entries]),
        _Column("author", [_author(entry) for entry in entries]),
        _Column("comment", [_remark(entry) for entry in entries]),
    ]


def _fits(table: Sequence[_Column], columns: int | None) -> bool:
    """Whether there is room for all, and for the beginning of a comment."""
    *others, comment = [column.width for column in table]
    needed = sum(others) + len(GAP) * len(others) + min(comment, SHORTEST_REMARK)
    return columns is None or needed <= columns


def cut_to(text: str, columns: int) -> str:
    """The text, or as much of it as fits, with a sign that it is cut."""
    if cells(text) <= columns:
        return text
    return clipped(text, columns - len(CUT)) + CUT[:columns]


def _line(row: Sequence[str], table: Sequence[_Column]) -> str:
    shown = []
    for text, column in zip(row, table, strict=True):
        padding = " " * (column.width - cells(text))
        shown.append(padding + text if column.right else text + padding)
    return GAP.join(shown).rstrip()


def _name(entry: Entry) -> str:
    name = printable(entry.name)
    return name if entry.target is None else f"{name} -> {printable(entry.target)}"


def _size(size: int | None) -> str:
    return "-" if size is None else human_size(size)


def _date(entry: Entry, date_format: str) -> str:
    return "-" if entry.date is None else entry.date.astimezone().strftime(date_format)


def _author(entry: Entry) -> str:
    return printable(entry.sidecar.user) if entry.sidecar and entry.sidecar.user else "-"


def _remark(entry: Entry) -> str:
    """What is wrong, in which directory it is, and the comment."""
    parts = ["[private]"] if entry.private else []
    if entry.kind in (Kind.BROKEN, Kind.UNREADABLE, Kind.DANGLING, Kind.PARTIAL):
        parts.append(f"{entry.kind.upper()}: {entry.problem}")
    elif entry.sidecar_state is SidecarState.MALFORMED:
        parts.append("[sidecar malformed]")
    elif entry.sidecar_state is SidecarState.OTHER_SIZE:
        parts.append("[sidecar of another size]")
    if entry.sidecar is not None:
        parts.append(entry.sidecar.comment)
    return printable(" ".join(filter(None, parts)))
