"""What a client must have said and done for its node to be through; the console is made up."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, cast

import pytest

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

    async def run(self, script: str, on_output: Callable[[bytes], None]) -> CommandResult:
        assert script
        on_output(self.output)
        return CommandResult(self.status, "")


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
