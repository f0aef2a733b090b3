"""The file in which an image grows: locked, hidden, published in one step or gone."""

import os
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path

import pytest
import trio

from imaging.errors import InfrastructureError, Reason
from imaging.images.partial import is_growing, open_partial, partial_path


@pytest.fixture
def image(tmp_path: Path) -> Path:
    return tmp_path / "new.ndz"


def test_what_is_published_stays_and_what_is_not_is_gone(image: Path) -> None:
    with open_partial(image) as partial:
        partial.write(b"half")
        assert not image.exists()
        assert partial.path.name == ".new.ndz.partial"
    assert list(image.parent.iterdir()) == []
    with open_partial(image) as partial:
        partial.write(b"whole")
        partial.publish(replace=False)
    assert image.read_bytes() == b"whole"
    assert list(image.parent.iterdir()) == [image]


def test_an_error_removes_it(image: Path) -> None:
    def fail() -> None:
        with open_partial(image) as partial:
            partial.write(b"half")
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert list(image.parent.iterdir()) == []


def test_an_image_that_appeared_meanwhile_is_kept(image: Path) -> None:
    with open_partial(image) as partial:
        partial.write(b"ours")
        image.write_bytes(b"somebody's")
        with pytest.raises(InfrastructureError, match="File exists") as caught:
            partial.publish(replace=False)
        assert caught.value.reason is Reason.STORE_FAILED
    assert image.read_bytes() == b"somebody's"
    with open_partial(image) as partial:
        partial.write(b"ours")
        partial.publish(replace=True)
    assert image.read_bytes() == b"ours"


def test_one_at_a_time(image: Path) -> None:
    with open_partial(image) as partial:
        partial.write(b"first")
        with (
            pytest.raises(InfrastructureError, match=r"saving new\.ndz") as caught,
            open_partial(image),
        ):
            pass
        assert caught.value.reason is Reason.BUSY
        assert is_growing(partial.path)
        assert partial.path.read_bytes() == b"first"


def test_what_a_dead_process_has_left_is_taken_over(image: Path) -> None:
    script = (
        "import os, signal, sys; from pathlib import Path\n"
        "from imaging.images.partial import open_partial\n"
        "with open_partial(Path(sys.argv[1])) as partial:\n"
        "    partial.write(b'dead'); os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    subprocess.run([sys.executable, "-c", script, str(image)], check=False)
    left = partial_path(image)
    assert left.read_bytes() == b"dead"
    assert not is_growing(left)
    with open_partial(image) as partial:
        assert left.read_bytes() == b""
        partial.write(b"new")
        partial.publish(replace=False)
    assert image.read_bytes() == b"new"


def test_a_directory_that_is_not_there_is_told(tmp_path: Path) -> None:
    place = tmp_path / "nowhere" / "new.ndz"
    with pytest.raises(InfrastructureError, match="No such file"), open_partial(place):
        pass


async def test_a_file_system_that_hangs_cannot_hold_us(image: Path) -> None:
    hanging = threading.Event()
    with open_partial(image) as partial:
        with trio.move_on_after(0.05) as patience:
            await partial.in_thread(hanging.wait, 30)
        assert patience.cancelled_caught
    # the thread may still use the descriptor, so that is not closed for others to get its number
    hanging.set()
    assert list(image.parent.iterdir()) == []
    (number,) = descriptors_of(partial.path)
    os.close(number)


def descriptors_of(path: Path) -> list[int]:
    """The descriptors of this process that are open on a file, be it removed."""
    found = []
    for number in map(int, os.listdir("/proc/self/fd")):
        with suppress(FileNotFoundError):  # the listing's own
            if str(path) in os.readlink(f"/proc/self/fd/{number}"):
                found.append(number)
    return found
