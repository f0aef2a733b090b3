"""One run of a tool that speaks to a power card: bounded in time and size, killed as a group."""

import re
import shlex
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import trio

from imaging.guard import Guard, end_group, start_time
from imaging.node.power.asking import NoAnswerError

OUTPUT_LIMIT = 16384  # bytes of each stream; of what comes beyond, nothing is kept
KILL_BUDGET_S = 1.0


@dataclass(frozen=True, slots=True)
class ToolResult:
    """How the tool ended, and what it has said."""

    status: int
    output: str
    complaint: str

    @property
    def last_words(self) -> str:
        """The last line that it has said, of its errors if there are any."""
        lines = (self.complaint.strip() or self.output.strip() or "nothing").splitlines()
        return lines[-1].strip()

    @property
    def how(self) -> str:
        """How it ended, in words."""
        ended = f"signal {-self.status}" if self.status < 0 else f"exit status {self.status}"
        return f"ended with {ended}: {self.last_words}"


def fill(template: str, places: Mapping[str, str]) -> list[str]:
    """The words of a template, with ``{node}`` and the others in them filled in.

    It is split before it is filled: no name or address can become a word of its own.
    """
    pattern = re.compile("{(" + "|".join(map(re.escape, places)) + ")}")
    return [pattern.sub(lambda found: places[found[1]], word) for word in shlex.split(template)]


async def run_tool(argv: Sequence[str], environment: Mapping[str, str], guard: Guard) -> ToolResult:
    """Run it, without a shell and without input, to its end.

    It is a session of its own; when this is cancelled, all processes of it are killed at once, and
    by the guard when there is nobody left to do it. Raises NoAnswerError when it cannot be started.
    """
    try:
        process = await trio.lowlevel.open_process(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment,
            start_new_session=True,
        )
    except OSError as error:
        raise NoAnswerError(f"cannot start {argv[0]}: {error.strerror}") from error
    output, complaint = bytearray(), bytearray()
    assert process.stdout is not None
    assert process.stderr is not None
    started = start_time(process.pid)
    with guard.group(process.pid):
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(_read, process.stdout, output)
                nursery.start_soon(_read, process.stderr, complaint)
                await process.wait()
                # a child that it has left behind may keep the pipes open
                end_group(process.pid, started)
        finally:
            end_group(process.pid, started)
            with trio.move_on_after(KILL_BUDGET_S, shield=True):
                await process.wait()
                await process.stdout.aclose()
                await process.stderr.aclose()
    assert process.returncode is not None
    texts = [bytes(data).decode("utf-8", "replace") for data in (output, complaint)]
    return ToolResult(process.returncode, *texts)


async def _read(stream: trio.abc.ReceiveStream, kept: bytearray) -> None:
    async for data in stream:
        kept += data[: OUTPUT_LIMIT - len(kept)]
