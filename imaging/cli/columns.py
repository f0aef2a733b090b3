"""Plain tables for terminals and for awk: columns two spaces apart, no lines, no colours."""

from collections.abc import Sequence

from imaging.feedback.display.cells import cells, fitted


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """The rows as lines whose columns begin at the same place; the last one is not padded."""
    widths = [max(map(cells, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(fitted(cell, width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
