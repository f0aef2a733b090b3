"""imaging-history."""

import json
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click
import msgspec
from msgspec.structs import replace

from imaging.cli.columns import aligned
from imaging.cli.completion import complete_images, complete_nodes
from imaging.cli.options import CONTEXT, version_option
from imaging.cli.session import run_with_settings
from imaging.errors import ConfigurationError
from imaging.feedback.records.transcripts import transcript_path
from imaging.feedback.wording import printable, utc_text
from imaging.site.inventory import load_inventory
from imaging.site.selection import select
from imaging.site.settings import LoadedSettings
from imaging.site.state import history_file

if TYPE_CHECKING:
    # SQLite is imported by what is asked of it
    from imaging.feedback.records.history import History
    from imaging.feedback.records.history_rows import NodeImage, PastAttempt, PastRun

NAME = "imaging-history"


class Question(msgspec.Struct, frozen=True):
    """What the user wants to know."""

    count: int
    node: str | None
    image: str | None
    user: str | None
    failed: bool
    run_id: str | None
    as_json: bool


@click.command(NAME, context_settings=CONTEXT)
@click.option(
    "-n",
    "--count",
    type=click.IntRange(min=1),
    default=20,
    show_default=True,
    metavar="N",
    help="How many runs.",
)
@click.option(
    "--node",
    metavar="NAME",
    shell_complete=complete_nodes,
    help="What happened on a node, and what is on it now.",
)
@click.option(
    "--image",
    metavar="NAME|PATH",
    shell_complete=complete_images,
    help="Only runs with that image.",
)
@click.option("--user", metavar="NAME", help="Only runs of that user.")
@click.option("--failed", is_flag=True, help="Only runs in which a node failed.")
@click.option("--run", "run_id", metavar="RUN", help="The nodes of a run, with all reasons.")
@click.option("--json", "as_json", is_flag=True, help="JSON; see above.")
@version_option
@click.pass_context
def command(
    context: click.Context,
    count: int,
    node: str | None,
    image: str | None,
    user: str | None,
    failed: bool,
    run_id: str | None,
    as_json: bool,
) -> None:
    """Tell the last runs of imaging-load and imaging-save, the newest first.

    With --node, which image is on the node, since when and by whom: that of the last load which
    reached its disk. Nothing is asked of the nodes.

    JSON keys of a run: run, command, user, host, started, ended (UTC), elapsed (seconds),
    exit_code, image (name, path, size, sha256), ok and failed (node names), transcripts; with
    --run also nodes (node, attempt, final, ok, reason, step, message, size, durations,
    transcript). --node gives node, image (as above, and since, user, run, half_written; null is
    unknown), and runs.

    \b
    Examples:
      imaging-history --failed --user "$USER" -n 5
      imaging-history --node fit05
    """
    if run_id is not None and (node or image or user or failed):
        raise click.UsageError("--run RUN takes no other filter")
    question = Question(count, node, image, user, failed, run_id, as_json)

    def body(loaded: LoadedSettings) -> int:
        from imaging.feedback.records.history import open_history

        file = history_file(loaded.settings)
        asked = question
        if node is not None:
            asked = replace(question, node=_recorded_name(node, loaded.settings.inventory.file))
        with open_history(file, writing=False) as history:
            answer = _answer(history, asked)
        # printed when the file is closed: a reader of ours that is slow keeps nobody waiting
        if as_json:
            print(json.dumps(answer.data, indent=2))
        elif answer.lines:
            print("\n".join(map(printable, answer.lines)))
        else:
            print(f"{NAME}: no such run is recorded in {file}", file=sys.stderr)
        return 0

    context.exit(run_with_settings(NAME, body))


def _recorded_name(word: str, inventory: Path) -> str:
    """The name of the node that a word means, as other commands read it: 5 is fit05.

    The history also knows nodes that no inventory has any more: those by their names.
    """
    try:
        names = select([word], load_inventory(inventory)).names
    except ConfigurationError:
        return word
    return names[0] if len(names) == 1 else word


class _Answer(msgspec.Struct, frozen=True):
    lines: list[str]
    data: object


def _answer(history: "History", question: Question) -> _Answer:
    if question.run_id is not None:
        return _one_run(history, question.run_id)
    runs = history.runs(
        count=question.count,
        node=question.node,
        image=question.image,
        user=question.user,
        failed=question.failed,
    )
    data: object = [run_object(run) for run in runs]
    if question.node is None:
        return _Answer(run_table(runs) if runs else [], data)
    found = history.image_of(question.node)
    attempts = history.attempts(node=question.node)
    results = {a.run_id: a for a in attempts if a.final}
    lines = [image_line(question.node, found)]
    if runs:
        lines += ["", *node_table(runs, results)]
    return _Answer(lines, {"node": question.node, "image": image_object(found), "runs": data})


def _one_run(history: "History", run_id: str) -> _Answer:
    runs = history.runs(run_id=run_id)
    if not runs:
        raise ConfigurationError(f"no run {run_id!r} is recorded", hint=f"see {NAME}")
    run, attempts = runs[0], history.attempts(run_id=run_id)
    image = f" {run.image.name}" if run.image else ""
    head = (
        f"{run.command}{image} by {run.user} on {run.host}, {_when(run.started)}, "
        f"{run.elapsed:.1f} s: {len(run.ok)} of {len(run.ok) + len(run.failed)} nodes done"
    )
    nodes = [attempt_object(run, attempt) for attempt in attempts]
    return _Answer(
        [printable(head), "", *attempt_table(run, attempts)], {**run_object(run), "nodes": nodes}
    )


def run_table(runs: Sequence["PastRun"]) -> list[str]:
    """A line per run."""
    rows = [["RUN", "STARTED", "COMMAND", "IMAGE", "OK", "FAILED", "ELAPSED", "USER"]]
    for run in runs:
        counts = [str(len(run.ok)), str(len(run.failed))]
        rows.append([*_beginning(run), *counts, f"{run.elapsed:.1f} s", printable(run.user)])
    return aligned(rows)


def node_table(runs: Sequence["PastRun"], results: Mapping[str, "PastAttempt"]) -> list[str]:
    """A line per run, with what became of one node in it."""
    rows = [["RUN", "STARTED", "COMMAND", "IMAGE", "USER", "RESULT"]]
    for run in runs:
        # a run that was recorded by half has no final attempt of its node
        result = _result(results[run.run_id]) if run.run_id in results else "-"
        rows.append([*_beginning(run), printable(run.user), result])
    return aligned(rows)


def attempt_table(run: "PastRun", attempts: Sequence["PastAttempt"]) -> list[str]:
    """A line per attempt on a node, and where its dialogue can be read."""
    rows = [["NODE", "TIME", "TRANSCRIPT", "RESULT"]]
    for attempt in attempts:
        took = f"{sum(attempt.durations.values()):.1f} s"
        result = _result(attempt)
        if attempt.message:
            result += f": {attempt.message.removeprefix(f'{attempt.node}: ')}"
        transcript = printable(_transcript(run, attempt.node) or "-")
        rows.append([attempt.node, took, transcript, printable(result)])
    return aligned(rows)


def image_line(node: str, found: "NodeImage | None") -> str:
    """Which image is on a node, in words."""
    if found is None:
        return f"{printable(node)}: no load onto it is recorded"
    words = f"{found.image.name} ({found.image.path})"
    when = f"{_when(found.since)} by {found.user}, run {found.run_id}"
    if found.half_written:
        return printable(f"{node}: unknown, the load of {words} failed while it wrote: {when}")
    return printable(f"{node}: {words} since {when}")


def run_object(run: "PastRun") -> dict[str, object]:
    """The keys that the help promises, for a run."""
    image = run.image
    return {
        "run": run.run_id,
        "command": run.command,
        "user": run.user,
        "host": run.host,
        "started": utc_text(run.started),
        "ended": utc_text(run.started + run.elapsed),
        "elapsed": round(run.elapsed, 3),
        "exit_code": run.exit_code,
        "image": image
        and {
            "name": image.name,
            "path": image.path,
            "size": image.size or None,
            "sha256": image.sha256 or None,
        },
        "ok": list(run.ok),
        "failed": list(run.failed),
        "transcripts": run.transcripts or None,
    }


def attempt_object(run: "PastRun", attempt: "PastAttempt") -> dict[str, object]:
    """The keys that the help promises, for an attempt on a node."""
    return {
        "node": attempt.node,
        "attempt": attempt.number,
        "final": attempt.final,
        "ok": attempt.reason is None,
        "reason": attempt.reason,
        "step": attempt.step,
        "message": attempt.message or None,
        "size": attempt.size,
        "durations": dict(attempt.durations),
        "transcript": _transcript(run, attempt.node),
    }


def image_object(found: "NodeImage | None") -> dict[str, object] | None:
    """The keys that the help promises, for the image on a node."""
    if found is None:
        return None
    return {
        "name": found.image.name,
        "path": found.image.path,
        "size": found.image.size or None,
        "sha256": found.image.sha256 or None,
        "since": utc_text(found.since),
        "user": found.user,
        "run": found.run_id,
        "half_written": found.half_written,
    }


def _beginning(run: "PastRun") -> list[str]:
    """What each table says of a run first."""
    image = printable(run.image.name) if run.image else "-"
    return [run.run_id, _when(run.started), run.command.removeprefix("imaging-"), image]


def _result(attempt: "PastAttempt") -> str:
    if attempt.reason is None:
        return "ok"
    where = f" at {attempt.step}" if attempt.step else ""
    again = "" if attempt.final else ", and began again"
    return f"FAILED{where} ({attempt.reason}){again}"


def _transcript(run: "PastRun", node: str) -> str | None:
    """The node's transcript, as long as it is kept."""
    path = transcript_path(run.transcripts, node) if run.transcripts else None
    return str(path) if path is not None and path.exists() else None


def _when(seconds: float) -> str:
    """A time for people, in theirs."""
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(seconds))
