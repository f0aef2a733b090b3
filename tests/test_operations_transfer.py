"""What a client must have said and done for its node to be through; the console is made up."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, cast

import pytest
import trio
import trio.testing

from imaging.errors import NodeError, Reason
from imaging.frisbee.image import inspect_image
from imaging.images.library import Image
from imaging.multicast import Channel
from imaging.node.console import CommandResult, Console
from imaging.operations.steps import NodeStory
from imaging.operations.transfer import Transfer
from imaging.site.schema import Settings
from tests import ndz_samples

if TYPE_CHECKING:
    from imaging.feedback.events import Event

JOINED = b"Joined the team after 0 sec. ID is 1. File is 3 chunks (3072 blocks)\n"


class Said:
    """A console on which a client says this, and ends with that status."""

    def __init__(self, output: bytes, status: int = 0) -> None:
        self.output, self.status = output, status

    async def run(self, script: str, on_output: Callable[[bytes], float | None]) -> CommandResult:
        assert script
        on_output(self.output)
        return CommandResult(self.status, "")


class Chatty(Said):
    """A console on which a client tells each of its chunks, ``pace_s`` apart."""

    def __init__(self, chunks: int, pace_s: float) -> None:
        super().__init__(b"")
        self.looks: list[float] = []
        self._chunks, self._pace_s = chunks, pace_s

    async def run(self, script: str, on_output: Callable[[bytes], float | None]) -> CommandResult:
        assert script
        started, said = trio.current_time(), 0
        on_output(b"Joined the team after 0 sec. ID is 1. File is %d chunks (9 b)\n" % self._chunks)
        while said < self._chunks:
            await trio.sleep_until(started + (said + 1) * self._pace_s)
            self.looks.append(trio.current_time() - started)
            new = int(self.looks[-1] / self._pace_s + 1e-6) - said
            said += new
            await trio.sleep(on_output(b"." * new) or 0.0)
        on_output(b"\nWrote 9000000 bytes (9000000 actual)\n")
        return CommandResult(0, "")


@pytest.mark.parametrize(
    ("abreast", "chunks", "pace_s", "most"),
    [
        (8, 4000, 0.01, 260),  # four times a second, and more often towards the end
        (1000, 4000, 0.01, 120),  # once a second
        (8, 40, 1.0, 40),  # who says little is read at once
    ],
)
async def test_a_client_is_looked_at_now_and_then_and_its_end_at_once(
    autojump_clock: trio.testing.MockClock,
    tmp_path: Path,
    abreast: int,
    chunks: int,
    pace_s: float,
    most: int,
) -> None:
    events: list[Event] = []
    story = NodeStory("fit01", events.append)
    transfer = Transfer(story, image(tmp_path), Settings(), abreast=abreast)
    client = Chatty(chunks, pace_s)
    channel = Channel("10.0.0.1", "239.0.0.1", 7000)
    assert await transfer.run(cast(Console, client), "10.0.0.2", channel)
    assert len(client.looks) <= most
    assert client.looks[-1] == pytest.approx(chunks * pace_s, abs=pace_s)
    gaps = [after - before for before, after in zip(client.looks, client.looks[1:], strict=False)]
    assert max(gaps) <= max(0.25, abreast / 1000, pace_s) + pace_s
    assert not transfer.is_half_done


def image(directory: Path) -> Image:
    path = directory / "sample.ndz"
    path.write_bytes(ndz_samples.V3.read())
    return Image("sample", path, inspect_image(path))


@pytest.mark.parametrize(
    ("output", "words"),
    [
        (JOINED, "the frisbee client ended without saying what it wrote"),
        (JOINED + b"Wrote 512 bytes (512 actual)\n", "the client wrote 512 of the image's "),
    ],
)
async def test_a_client_that_ends_well_has_to_have_written_all(
    tmp_path: Path, output: bytes, words: str
) -> None:
    events: list[Event] = []
    transfer = Transfer(NodeStory("fit01", events.append), image(tmp_path), Settings())
    channel = Channel("10.0.0.1", "239.0.0.1", 7000)
    with pytest.raises(NodeError, match=words) as caught:
        await transfer.run(cast(Console, Said(output)), "10.0.0.2", channel)
    assert caught.value.reason is Reason.FRISBEE_FAILED
    assert caught.value.hint == "its disk is half-written; it was left in the ramdisk"
    assert transfer.is_half_done
