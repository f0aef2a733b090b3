"""The figures of a run as short texts, and its overall progress in lines; all pure functions."""

from imaging.feedback.board import Board
from imaging.feedback.display.cells import cells, clipped
from imaging.feedback.outcomes import Step
from imaging.feedback.records.pace import seconds_left

BAR_WIDTH = 24
KIBIBYTE = 1024
MEBIBYTE = KIBIBYTE * KIBIBYTE
GIBIBYTE = KIBIBYTE * MEBIBYTE
GAP = "  "


def bar_text(fraction: float, width: int) -> str:
    """A bar of ``width`` cells, brackets included."""
    inside = max(width - 2, 0)
    filled = int(min(max(fraction, 0.0), 1.0) * inside)
    return f"[{'#' * filled}{'-' * (inside - filled)}]"


def percent_text(fraction: float) -> str:
    """Percents, rounded down, so that what is told as 100 % is all there: always 4 cells."""
    return f"{int(min(max(fraction, 0.0), 1.0) * 100):3d}%"


def clock_text(seconds: float) -> str:
    """A duration as ``0:42`` or ``1:02:03``."""
    minutes, second = divmod(max(int(seconds), 0), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02d}:{second:02d}" if hours else f"{minute}:{second:02d}"


def size_text(size: float) -> str:
    """Bytes in the unit that suits them."""
    if size < MEBIBYTE:
        return f"{size / KIBIBYTE:.0f} KiB"
    if size < GIBIBYTE:
        return f"{size / MEBIBYTE:.1f} MiB"
    return f"{size / GIBIBYTE:.1f} GiB"


def rate_text(rate: float) -> str:
    """A rate in bytes/s as ``11.3 MiB/s``."""
    return f"{rate / MEBIBYTE:.1f} MiB/s"


def pace_text(board: Board, now: float) -> str:
    """Throughput and time left of the transfers at work alone, if any."""
    pace = board.pace(now)
    return f"{rate_text(pace[0])}, {pace[1]:.0f} s left" if pace else ""


def left_text(board: Board, now: float) -> str:
    """How long the whole run still takes; "" when that is not known."""
    left = seconds_left(board, now)
    return "" if left is None else f"{clock_text(left)} left"


def steps_text(board: Board) -> str:
    """How many nodes are in each step, in the order of the steps."""
    steps = board.steps()
    return " ".join(f"{step} {steps[step]}" for step in Step if steps[step])


def bar_line(board: Board, now: float, width: int) -> str:
    """The overall progress in one line of at most ``width`` cells; ``now`` since the epoch."""
    pace = board.pace(now)
    rate = rate_text(pace[0]) if pace else ""
    at_work = GAP.join(filter(None, [steps_text(board), rate, left_text(board, now)]))
    failed = f"  failed {board.failed}" if board.failed else ""
    line = (
        f"{bar_text(board.fraction, BAR_WIDTH + 2)} {percent_text(board.fraction)}"
        f"  {now - board.started:5.1f} s  done {board.done}/{len(board.nodes)}{failed}  {at_work}"
    )
    return clipped(line, width)


def overall_lines(board: Board, now: float, width: int) -> list[str]:
    """The overall progress in two lines: nodes, then time; the pieces that do not fit are left out.

    ``now`` is in seconds since the epoch.
    """
    pieces = [_node_pieces(board, width), _time_pieces(board, now)]
    return [line for part in pieces for line in flowed(part, width, 1)]


def _node_pieces(board: Board, width: int) -> list[str]:
    total, done, failed = len(board.nodes), board.done, board.failed
    bar = bar_text(board.fraction, min(max(width // 4, 10), BAR_WIDTH + 2))
    pieces = [f"{bar} {percent_text(board.fraction)}", f"done {done}/{total}"]
    if failed:
        pieces.append(f"failed {failed}")
    if total > done + failed:
        pieces.append(f"running {total - done - failed}")
    pieces.append(steps_text(board))
    return [piece for piece in pieces if piece]


def _time_pieces(board: Board, now: float) -> list[str]:
    pieces = [f"{clock_text(now - board.started)} elapsed"]
    if board.deadline < float("inf"):
        pieces.append(f"timeout in {clock_text(board.deadline - now)}")
    pace = board.pace(now)
    if pace is not None:
        pieces.append(f"{rate_text(pace[0])} each")
    left = left_text(board, now)
    if left:
        pieces.append(left)
    size = sum(state.size for state in board.nodes.values())
    if size:
        pieces.append(f"{size_text(size)} in all")
    return pieces


def flowed(pieces: list[str], width: int, height: int) -> list[str]:
    """The pieces in lines, in their order; what is too long for its line is left out."""
    lines: list[str] = []
    for piece in pieces:
        if lines and cells(lines[-1]) + len(GAP) + cells(piece) <= width:
            lines[-1] += GAP + piece
        elif len(lines) < height and cells(piece) <= width:
            lines.append(piece)
    return lines or ([clipped(pieces[0], width)] if pieces and height else [])
