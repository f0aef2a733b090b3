"""A recording as one SVG file, which plays by itself wherever pictures are shown.

Every row that was ever shown is drawn once; a frame is a column of references to rows, and one CSS
animation moves from frame to frame. Who wants no motion, and what knows no animation, sees one
frame. The colours are those of the reader's browser, light or dark.
"""

from collections.abc import Sequence
from xml.sax.saxutils import escape, quoteattr

from tests.pictures.recording import Frame, Row, Run

NAMESPACE = 'xmlns="http://www.w3.org/2000/svg"'
WIDTH = 8.4  # pixels of a character
HEIGHT = 18  # of a row
MARGIN = 14
DARK = {
    "default": "#d8dee9", "black": "#4c566a", "red": "#ff7b72", "green": "#7ee787",
    "brown": "#e3b341", "blue": "#79c0ff", "magenta": "#d2a8ff", "cyan": "#76e3ea",
    "white": "#f0f6fc", "reverse": "#d8dee9", "paper": "#161b22", "frame": "#30363d",
}  # fmt: skip
LIGHT = {
    "default": "#24292f", "black": "#57606a", "red": "#b3261e", "green": "#116329",
    "brown": "#7d4e00", "blue": "#0550ae", "magenta": "#6639ba", "cyan": "#1b6e78",
    "white": "#24292f", "reverse": "#24292f", "paper": "#f6f8fa", "frame": "#d0d7de",
}  # fmt: skip
FONT = "ui-monospace, SFMono-Regular, Menlo, Consolas, 'DejaVu Sans Mono', monospace"


def draw(frames: Sequence[Frame], title: str, *, end_s: float, still: int) -> str:
    """The SVG of a recording that stays on its last frame for ``end_s`` seconds.

    ``still`` is the frame that is seen where nothing moves.
    """
    columns = sum(len(run.text) for run in frames[0].screen[0])
    width = columns * WIDTH + 2 * MARGIN
    height = len(frames[0].screen) * HEIGHT + 2 * MARGIN
    rows = {row: f"r{at}" for at, row in enumerate(_rows(frames))}
    parts = [
        f'<svg {NAMESPACE} {_size(width, height)} role="img" aria-label={quoteattr(title)}>',
        f"<title>{escape(title)}</title>",
        f"<style>{_style(frames, width, end_s, still)}</style>",
        "<defs>",
        *(f'<g id="{name}">{_row(row)}</g>' for row, name in rows.items()),
        "</defs>",
        f'<rect class="paper" x=".5" y=".5" width="{width - 1:.0f}" height="{height - 1}" rx="8"/>',
        f'<svg x="{MARGIN}" y="{MARGIN}" {_size(columns * WIDTH, height - 2 * MARGIN)}>',
        '<g class="film">',
        *(_frame(frame, at * width, rows) for at, frame in enumerate(frames)),
        "</g></svg></svg>",
    ]
    return "\n".join(parts) + "\n"


def _size(width: float, height: float) -> str:
    return f'width="{width:.0f}" height="{height:.0f}"'


def _rows(frames: Sequence[Frame]) -> list[Row]:
    """Each row that is shown anywhere, once, in the order in which they come."""
    return list(dict.fromkeys(row for frame in frames for row in frame.screen if not _blank(row)))


def _blank(row: Row) -> bool:
    return all(not run.text.strip() and run.background == "default" for run in row)


def _style(frames: Sequence[Frame], width: float, end_s: float, still: int) -> str:
    length = frames[-1].at + end_s
    steps = "".join(
        f"{frame.at / length:.3%}{{transform:translateX({-at * width:.0f}px)}}"
        for at, frame in enumerate(frames)
    )
    return (
        f"text{{font:14px {FONT};white-space:pre}}.b{{font-weight:700}}"
        f"{_palette(DARK)}"
        f"@media (prefers-color-scheme:light){{{_palette(LIGHT)}}}"
        f".film{{transform:translateX({-still * width:.0f}px);"
        f"animation:film {length:.1f}s steps(1,end) infinite}}"
        f"@media (prefers-reduced-motion:reduce){{.film{{animation:none}}}}"
        f"@keyframes film{{{steps}}}"
    )


def _palette(colours: dict[str, str]) -> str:
    named = "".join(f".{name}{{fill:{value}}}" for name, value in colours.items())
    return f"{named}.paper{{stroke:{colours['frame']}}}.inverse{{fill:{colours['paper']}}}"


def _row(row: Row) -> str:
    parts, column = [], 0
    for run in row:
        if run.background != "default":
            parts.append(
                f'<rect class="{run.background}" x="{column * WIDTH:.1f}" '
                f'width="{len(run.text) * WIDTH:.1f}" height="{HEIGHT}"/>'
            )
        if run.text.strip():
            parts.append(_text(run, column))
        column += len(run.text)
    return "".join(parts)


def _text(run: Run, column: int) -> str:
    """The run's text; its width is said, as fonts differ and columns must not."""
    colour = "inverse" if run.background == "reverse" else run.colour
    stripped = run.text.strip()
    column += len(run.text) - len(run.text.lstrip())
    return (
        f'<text class="{colour}{" b" if run.bold else ""}" x="{column * WIDTH:.1f}" '
        f'y="{HEIGHT - 5}" textLength="{len(stripped) * WIDTH:.1f}" '
        f'lengthAdjust="spacingAndGlyphs">{escape(stripped)}</text>'
    )


def _frame(frame: Frame, left: float, rows: dict[Row, str]) -> str:
    uses = "".join(
        f'<use href="#{rows[row]}" y="{at * HEIGHT}"/>'
        for at, row in enumerate(frame.screen)
        if row in rows
    )
    return f'<g transform="translate({left:.0f})">{uses}</g>'
