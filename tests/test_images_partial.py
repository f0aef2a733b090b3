"""The file in which an image grows: locked, hidden, published in one step or gone."""

import fcntl
import os
import signal
import stat
import subprocess
import sys
import threading
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest
import trio

from imaging.errors import InfrastructureError, Reason
from imaging.images.partial import (
    PartialInMaking,
    is_growing,
    make_partial,
    open_partial,
    partial_path,
    settle,
)
from imaging.images.sidecar import Sidecar, read_sidecar, sidecar_path
from tests.commands import wait_for

ROOT = Path(__file__).parent.parent
SIDECAR = Sidecar(
    name="new",
    date=datetime(2026, 1, 2, tzinfo=UTC),
    size=5,
    covered_bytes=5,
    data_bytes=5,
    minimum_disk_size=5,
    sha256="ab" * 32,
)


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
        partial.prepare(SIDECAR)
        partial.publish(replace=False)
    assert image.read_bytes() == b"whole"
    assert read_sidecar(image) == SIDECAR
    assert sorted(entry.name for entry in image.parent.iterdir()) == ["new.json", "new.ndz"]


def test_an_error_removes_it(image: Path) -> None:
    def fail() -> None:
        with open_partial(image) as partial:
            partial.write(b"half")
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert list(image.parent.iterdir()) == []


def publish(image: Path, data: bytes, sidecar: Sidecar = SIDECAR, *, replace: bool = False) -> None:
    with open_partial(image) as partial:
        partial.write(data)
        partial.prepare(sidecar)
        partial.publish(replace=replace)


def everything(image: Path) -> dict[str, bytes]:
    return {entry.name: entry.read_bytes() for entry in image.parent.iterdir()}


def test_an_image_that_appeared_meanwhile_is_kept(image: Path) -> None:
    with open_partial(image) as partial:
        partial.write(b"ours")
        partial.prepare(SIDECAR)
        image.write_bytes(b"somebody's")
        with pytest.raises(InfrastructureError, match=r"new\.ndz is there already") as caught:
            partial.publish(replace=False)
        assert caught.value.reason is Reason.STORE_FAILED
    assert everything(image) == {"new.ndz": b"somebody's"}
    publish(image, b"ours", replace=True)
    assert image.read_bytes() == b"ours"


def test_an_alias_that_appeared_meanwhile_is_kept(image: Path) -> None:
    with open_partial(image) as partial:
        partial.prepare(SIDECAR)
        image.symlink_to("other.ndz")
        with pytest.raises(InfrastructureError, match="is there already"):
            partial.publish(replace=True)
    assert os.readlink(image) == "other.ndz"


@pytest.mark.parametrize("what", ["directory", "link"])
def test_what_is_in_the_sidecars_way_is_told_before_anything_changes(
    image: Path, what: str
) -> None:
    publish(image, b"old")
    sidecar_path(image).unlink()
    if what == "directory":
        sidecar_path(image).mkdir()
    else:
        sidecar_path(image).symlink_to("elsewhere")
    with pytest.raises(InfrastructureError, match=r"new\.json is there already"):
        publish(image, b"new", replace=True)
    assert image.read_bytes() == b"old"


def test_a_failure_leaves_the_old_image_with_its_sidecar(image: Path) -> None:
    publish(image, b"old")
    before = everything(image)
    with open_partial(image) as partial:
        partial.write(b"new")
        partial.prepare(msgspec.structs.replace(SIDECAR, comment="new"))
        partial.path.unlink()
        with pytest.raises(InfrastructureError, match="no longer the file"):
            partial.publish(replace=True)
        partial.path.write_bytes(b"somebody's half")
        with pytest.raises(InfrastructureError, match="no longer the file"):
            partial.publish(replace=True)
    # and somebody else's is not removed for ours
    assert everything(image).pop(partial.path.name) == b"somebody's half"
    assert before.items() <= everything(image).items()


# publishes an image in place of another, and is killed at its n-th change of a name
KILLED = """
import os, signal, sys
from pathlib import Path
from imaging.guard import NO_GUARD, open_guard
from imaging.images.partial import kept_path, open_partial, partial_path, staged_path
from imaging.images.sidecar import sidecar_path
from tests.test_images_partial import SIDECAR

image, left, guarded, replaces = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3], sys.argv[4]

def counted(change):
    def changed(*arguments, **options):
        global left
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        left -= 1
        return change(*arguments, **options)
    return changed

places = [str(place(image)) for place in (partial_path, staged_path, kept_path, sidecar_path)]
with open_guard() as guard, (guard if guarded == "guarded" else NO_GUARD).partial(*places):
    with open_partial(image) as partial:
        partial.write(b"whole")
        partial.prepare(SIDECAR)
        Path.replace, Path.unlink, os.link = map(counted, (Path.replace, Path.unlink, os.link))
        partial.publish(replace=replaces == "replaces")
"""


def killed(image: Path, changes: int, guarded: str, replaces: str) -> bool:
    """Whether the process was killed, and not through before."""
    words = [sys.executable, "-c", KILLED, str(image), str(changes), guarded, replaces]
    done = subprocess.run(words, cwd=ROOT, check=False, capture_output=True, text=True)
    assert done.returncode in (0, -signal.SIGKILL), done.stderr
    return done.returncode != 0


@pytest.mark.parametrize("guarded", ["guarded", "alone"])
def test_who_is_killed_while_it_publishes_costs_no_image_its_sidecar(
    image: Path, guarded: str
) -> None:
    old = msgspec.structs.replace(SIDECAR, name="old", size=3, sha256="cd" * 32)
    changes = 0
    while True:
        image.write_bytes(b"old")
        sidecar_path(image).write_bytes(msgspec.json.encode(old))
        if not killed(image, changes, guarded, "replaces"):
            break
        if guarded == "alone":  # a power cut, say: whoever is next sees to it
            make_partial(image).close()
        wait_for(lambda: sorted(e.name for e in image.parent.iterdir()) == ["new.json", "new.ndz"])
        assert (image.read_bytes(), read_sidecar(image)) in [(b"old", old), (b"whole", SIDECAR)]
        changes += 1
    assert changes == 4


@pytest.mark.parametrize("guarded", ["guarded", "alone"])
def test_a_new_image_has_its_sidecar_whenever_its_maker_is_killed(
    image: Path, guarded: str
) -> None:
    changes = 0
    while killed(image, changes, guarded, "new"):
        if guarded == "alone":
            make_partial(image).close()
        names = ["new.json", "new.ndz"] if changes else []
        wait_for(lambda: sorted(e.name for e in image.parent.iterdir()) == names)  # noqa: B023
        if changes:
            assert (image.read_bytes(), read_sidecar(image)) == (b"whole", SIDECAR)
            image.unlink()
            sidecar_path(image).unlink()
        changes += 1
    assert changes == 4


def test_links_at_our_places_are_never_followed(image: Path, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_bytes(b"precious")
    with open_partial(image) as partial:
        sidecar_path(partial.path).symlink_to(victim)
        partial.prepare(SIDECAR)
        partial.publish(replace=False)
    assert victim.read_bytes() == b"precious"
    assert read_sidecar(image) == SIDECAR
    other = tmp_path / "other.ndz"
    partial_path(other).symlink_to(victim)
    with pytest.raises(InfrastructureError, match="cannot write"):
        publish(other, b"new")
    assert victim.read_bytes() == b"precious"


def test_a_pipe_in_the_way_is_told(image: Path) -> None:
    os.mkfifo(partial_path(image))
    with pytest.raises(InfrastructureError, match="cannot write"):
        publish(image, b"new")


def test_the_image_is_a_new_file_with_the_mode_asked_for(image: Path) -> None:
    left = partial_path(image)
    left.write_bytes(b"left")
    left.chmod(0o666)
    with left.open("r+b") as kept_open:
        with open_partial(image, mode=0o644) as partial:
            partial.write(b"proven")
            partial.prepare(SIDECAR)
            partial.publish(replace=False)
        kept_open.write(b"changed afterwards")
    assert image.read_bytes() == b"proven"
    for file in (image, sidecar_path(image)):
        assert stat.S_IMODE(file.stat().st_mode) == 0o644


def test_who_only_looks_is_not_in_the_way(image: Path) -> None:
    partial_path(image).write_bytes(b"left")
    descriptor = os.open(partial_path(image), os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_SH)
    looked = threading.Timer(0.05, os.close, [descriptor])
    looked.start()
    publish(image, b"new")
    looked.join()
    assert image.read_bytes() == b"new"


async def test_work_that_fails_leaks_no_descriptor(image: Path) -> None:
    def fail(_: None) -> None:
        raise InfrastructureError("no", reason=Reason.STORE_FAILED)

    before = len(os.listdir("/proc/self/fd"))
    for _ in range(5):
        with open_partial(image) as partial, pytest.raises(InfrastructureError):
            await partial.in_thread(fail, None)
    assert len(os.listdir("/proc/self/fd")) == before


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
    with open_partial(image):
        assert left.read_bytes() == b""
    publish(image, b"new")
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


def test_a_thread_that_was_left_behind_makes_nothing_anew(image: Path) -> None:
    with open_partial(image) as partial:
        pass
    partial._descriptor = os.open(image.parent, os.O_RDONLY)  # as the thread still has one
    try:
        with pytest.raises(InfrastructureError, match="canceled"):
            partial.prepare(SIDECAR)
    finally:
        os.close(partial._descriptor)
    assert everything(image) == {}


def descriptors_of(path: Path) -> list[int]:
    """The descriptors of this process that are open on a file, be it removed."""
    found = []
    for number in map(int, os.listdir("/proc/self/fd")):
        with suppress(FileNotFoundError):  # the listing's own
            if str(path) in os.readlink(f"/proc/self/fd/{number}"):
                found.append(number)
    return found


async def test_a_file_that_comes_late_for_nobody_is_removed(
    image: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The disk hangs when the file is made, and goes on when the save has given up."""
    goes_on = threading.Event()
    really_open = os.open

    def slow_open(path: str | Path, *arguments: int) -> int:
        if str(path).endswith(".partial"):
            assert goes_on.wait(10)
        return really_open(path, *arguments)

    monkeypatch.setattr(os, "open", slow_open)
    making, ended = PartialInMaking(image), threading.Event()

    def make() -> None:
        making.make()
        ended.set()

    with trio.move_on_after(0.05) as scope:
        await trio.to_thread.run_sync(make, abandon_on_cancel=True)
    assert scope.cancelled_caught
    making.abandon()
    goes_on.set()
    assert ended.wait(10)
    assert not partial_path(image).exists()


def test_a_directory_that_is_gone_cannot_be_settled(tmp_path: Path) -> None:
    with pytest.raises(InfrastructureError, match=r"cannot write .*gone: No such file") as caught:
        settle(tmp_path / "gone")
    assert caught.value.reason is Reason.STORE_FAILED


def test_a_full_disk_is_told_with_what_to_do(image: Path) -> None:
    with open_partial(image) as partial:
        descriptor = os.open("/dev/full", os.O_WRONLY)
        try:
            os.dup2(descriptor, descriptors_of(partial.path)[0])
        finally:
            os.close(descriptor)
        with pytest.raises(InfrastructureError, match="No space left on device .make room there"):
            partial.write(b"data")
