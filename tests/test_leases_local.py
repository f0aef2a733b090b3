"""Leases in a file, as several processes and users have it."""

import os
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import trio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from imaging.database import transaction
from imaging.leases.backend import Actor
from imaging.leases.lease import Lease, LeaseRefusedError, LeaseServiceError
from imaging.leases.local import APPLICATION_ID, LocalLeases

NOW = 1_772_359_200.0
HOUR = 3600.0
ALICE, BOB, ROOT = Actor("alice"), Actor("bob"), Actor("root", privileged=True)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    place = tmp_path / "leases" / "leases.sqlite"
    place.parent.mkdir()
    return place


async def book(
    file: Path, start: float, end: float, *nodes: str, actor: Actor = ALICE, holder: str = ""
) -> Lease:
    """Hours from NOW; without nodes, the whole testbed."""
    return await LocalLeases(file).book(
        actor, holder or actor.login, NOW + start * HOUR, NOW + end * HOUR, nodes or None
    )


async def held(file: Path) -> list[Lease]:
    return await LocalLeases(file).between(0, NOW * 2)


async def test_there_are_no_leases_before_the_first_and_looking_makes_no_file(file: Path) -> None:
    assert await held(file) == []
    assert await LocalLeases(file).current(NOW) == []
    assert not file.exists()


async def test_a_directory_that_is_missing_is_not_the_same_as_no_leases(file: Path) -> None:
    file.parent.rmdir()  # as when it is not mounted
    with pytest.raises(LeaseServiceError, match="cannot be read: its directory does not exist"):
        await held(file)
    with pytest.raises(LeaseServiceError, match="cannot be changed: its directory does not exist"):
        await book(file, 0, 1)
    assert not file.parent.exists()


async def test_a_lease_is_there_as_it_was_booked(file: Path) -> None:
    one = await book(file, 0, 1, "fit02", "fit01")
    two = await book(file, 2, 3, actor=BOB)
    assert one == Lease("1", "alice", NOW, NOW + HOUR, ("fit02", "fit01"))
    assert two == Lease("2", "bob", NOW + 2 * HOUR, NOW + 3 * HOUR)
    assert await held(file) == [one, two]
    assert await LocalLeases(file).current(NOW) == [one]
    assert await LocalLeases(file).current(NOW + HOUR) == []
    assert await LocalLeases(file).between(NOW + HOUR, NOW + 2 * HOUR + 1) == [two]


@pytest.mark.parametrize(
    ("start", "end", "nodes"),
    [(0, 1, ()), (0.5, 2, ("fit01",)), (-1, 0.5, ("fit03", "fit01")), (0.2, 0.3, ()), (-1, 2, ())],
)
async def test_what_overlaps_is_refused_also_ones_own(
    file: Path, start: float, end: float, nodes: tuple[str, ...]
) -> None:
    await book(file, 0, 1, "fit01", "fit02")
    for actor in (ALICE, BOB, ROOT):
        with pytest.raises(LeaseRefusedError, match=r"alice holds fit01 fit02 from .* \(lease 1\)"):
            await book(file, start, end, *nodes, actor=actor)
    assert len(await held(file)) == 1


async def test_what_only_touches_is_fine(file: Path) -> None:
    await book(file, 0, 1, "fit01")
    await book(file, 1, 2, actor=BOB)
    await book(file, -1, 0, actor=BOB)
    await book(file, 0, 1, "fit02", actor=BOB)
    assert len(await held(file)) == 4


async def test_a_lease_is_extended_as_far_as_there_is_room(file: Path) -> None:
    await book(file, 0, 1)
    await book(file, 3, 4, actor=BOB)
    leases = LocalLeases(file)
    longer = await leases.extend(ALICE, "1", NOW + 2 * HOUR)
    assert (longer.start, longer.end) == (NOW, NOW + 2 * HOUR)
    assert (await held(file))[0] == longer
    with pytest.raises(LeaseRefusedError, match="bob holds the whole testbed"):
        await leases.extend(ALICE, "1", NOW + 3.5 * HOUR)
    with pytest.raises(LeaseRefusedError, match=r"lasts until .* already"):
        await leases.extend(ALICE, "1", NOW + HOUR)
    assert (await held(file))[0] == longer


async def test_a_lease_is_cancelled_by_what_is_left_of_it(file: Path) -> None:
    await book(file, -2, -1, "fit01")
    await book(file, -1, 1, "fit02")
    await book(file, 1, 2, "fit03")
    leases = LocalLeases(file)
    with pytest.raises(LeaseRefusedError, match="lease 1 is over"):
        await leases.cancel(ALICE, "1", NOW)
    ended = await leases.cancel(ALICE, "2", NOW + 59)
    assert ended == Lease("2", "alice", NOW - HOUR, NOW, ("fit02",))
    assert await leases.cancel(ALICE, "3", NOW) is None
    await book(file, 0, 1, "fit04")
    assert await leases.cancel(ALICE, "4", NOW + 59) is None, "it was a part of a minute"
    assert [lease.lease_id for lease in await held(file)] == ["1", "2"]
    assert await leases.current(NOW) == []
    await book(file, 0, 1, actor=BOB)


async def test_other_peoples_leases_are_those_of_the_privileged_only(file: Path) -> None:
    await book(file, 0, 1)
    leases = LocalLeases(file)
    changes: list[Callable[[], object]] = [
        lambda: leases.cancel(BOB, "1", NOW),
        lambda: leases.extend(BOB, "1", NOW + 2 * HOUR),
    ]
    for change in changes:
        with pytest.raises(LeaseRefusedError, match="lease 1 is alice's, not bob's"):
            await change()  # type: ignore[misc]
    with pytest.raises(LeaseRefusedError, match="bob cannot book for alice"):
        await book(file, 5, 6, actor=BOB, holder="alice")
    await leases.extend(ROOT, "1", NOW + 2 * HOUR)
    assert (await book(file, 5, 6, actor=ROOT, holder="bob")).holder == "bob"
    await leases.cancel(ROOT, "2", NOW)


@pytest.mark.parametrize(
    "lease_id", ["7", "0", "-1", "", "x", "1; DROP TABLE lease", "9" * 30, "9" * 5000, "²"]
)
async def test_a_lease_that_is_not_there(file: Path, lease_id: str) -> None:
    await book(file, 0, 1)
    with pytest.raises(LeaseRefusedError, match="there is no lease"):
        await LocalLeases(file).cancel(ROOT, lease_id, NOW)
    with pytest.raises(LeaseRefusedError, match="there is no lease"):
        await LocalLeases(file).extend(ROOT, lease_id, NOW + 9 * HOUR)
    assert len(await held(file)) == 1


BOOKER = """\
import sys, trio
from pathlib import Path
from imaging.leases.backend import Actor
from imaging.leases.lease import LeaseRefusedError
from imaging.leases.local import LocalLeases

async def main(file, login):
    leases, won = LocalLeases(Path(file)), 0
    sys.stdin.readline()
    for hour in range(20):
        try:
            await leases.book(Actor(login), login, hour * 3600, hour * 3600 + 3600, None)
            won += 1
        except LeaseRefusedError:
            pass
    print(won)

trio.run(main, *sys.argv[1:])
"""


def test_of_many_processes_that_book_the_same_each_hour_has_one(file: Path) -> None:
    bookers = [
        subprocess.Popen(
            [sys.executable, "-c", BOOKER, str(file), f"user{number}"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for number in range(5)
    ]
    for booker in bookers:
        assert booker.stdin is not None
        booker.stdin.write("go\n")
        booker.stdin.flush()
    told = [booker.communicate(timeout=60) for booker in bookers]
    assert [errors for _, errors in told] == [""] * 5
    assert sum(int(output) for output, _ in told) == 20
    starts = [lease.start for lease in trio.run(held, file)]
    assert starts == [hour * HOUR for hour in range(20)]


async def test_a_writer_that_takes_long_is_waited_for_and_then_told(file: Path) -> None:
    await book(file, 0, 1)
    holder = sqlite3.connect(file, isolation_level=None)
    with transaction(holder):
        assert len(await held(file)) == 1, "readers need not wait for it"
        with pytest.raises(LeaseServiceError, match=r"cannot be changed: database is locked"):
            await book(file, 2, 3)
    holder.close()
    await book(file, 2, 3)


def replace_by_fifo(file: Path) -> None:
    file.unlink()
    os.mkfifo(file)


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda file: file.write_bytes(b"no database at all, but long enough" * 100), "not a data"),
        (lambda file: file.write_bytes(file.read_bytes()[:5000]), "malformed"),
        (lambda file: (file.unlink(), file.mkdir()), "it is no file"),
        (replace_by_fifo, "it is no file"),
    ],
)
async def test_a_spoiled_file_is_an_error_that_names_it(
    file: Path, spoil: Callable[[Path], object], words: str
) -> None:
    await book(file, 0, 1)
    spoil(file)
    with pytest.raises(LeaseServiceError, match=words) as caught:
        await held(file)
    assert str(file) in str(caught.value)
    with pytest.raises(LeaseServiceError, match="cannot be changed"):
        await book(file, 5, 6)


async def test_a_file_of_something_else_is_not_touched(file: Path) -> None:
    other = sqlite3.connect(file)
    other.execute("CREATE TABLE mine (x)")
    other.commit()
    other.close()
    before = file.read_bytes()
    with pytest.raises(LeaseServiceError, match="a database of something else"):
        await held(file)
    with pytest.raises(LeaseServiceError, match="a database of something else"):
        await book(file, 0, 1)
    assert file.read_bytes() == before


async def test_an_empty_file_has_no_leases(file: Path) -> None:
    file.touch()
    assert await held(file) == []
    await book(file, 0, 1)
    assert len(await held(file)) == 1


@pytest.mark.parametrize(
    "row",
    [
        (7, b"\xff", 0, 9, None),
        (7, None, 0, 9, None),
        (7, "alice", "soon", 9, None),
        (7, "alice", 0, 1e300, None),
        (7, "alice", -1, 9, None),
        (7, "alice", 0, 1 << 60, None),
        (7, "alice", 0, 9, "[1]"),
        (7, "alice", 0, 9, "fit01"),
        (7, "alice", 0, 9, "[" * 100_000),
        (7, "alice", 0, 9, 3.5),
    ],
)
async def test_a_row_that_cannot_be_is_an_error_and_no_lease(
    file: Path, row: tuple[object, ...]
) -> None:
    await book(file, 0, 1)
    with sqlite3.connect(file) as raw:
        raw.execute("DROP TABLE lease")
        raw.execute("CREATE TABLE lease (id INTEGER PRIMARY KEY, holder, start, end, nodes)")
        raw.execute("INSERT INTO lease VALUES (?, ?, ?, ?, ?)", row)
    raw.close()
    with pytest.raises(LeaseServiceError, match="it holds"):
        await LocalLeases(file).between(-5, 5e300)


@given(st.binary(max_size=4096), st.integers(0, 8191))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
async def test_any_file_is_read_or_an_error_of_ours(
    tmp_path: Path, data: bytes, place: int
) -> None:
    file = tmp_path / "leases.sqlite"
    file.unlink(missing_ok=True)
    await book(file, 0, 1)
    content = bytearray(file.read_bytes())
    content[place : place + len(data)] = data
    file.write_bytes(content)
    try:
        found = await held(file)
    except LeaseServiceError:
        return
    assert all(isinstance(lease, Lease) for lease in found)


@pytest.mark.parametrize(("directory", "mode"), [(0o755, 0o644), (0o2775, 0o664), (0o700, 0o600)])
async def test_the_file_is_as_open_as_its_directory(file: Path, directory: int, mode: int) -> None:
    file.parent.chmod(directory)
    before = os.umask(0o077)
    try:
        await book(file, 0, 1)
    finally:
        os.umask(before)
    assert stat.S_IMODE(file.stat().st_mode) == mode
    assert [entry.name for entry in file.parent.iterdir()] == [file.name]


async def test_no_trigger_of_a_file_is_trusted_with_more_than_data(file: Path) -> None:
    await book(file, 0, 1)
    with sqlite3.connect(file) as raw:
        (owner,) = raw.execute("PRAGMA application_id").fetchone()
        raw.execute(
            "CREATE TRIGGER evil BEFORE INSERT ON lease BEGIN "
            "SELECT load_extension('/tmp/evil'); END"
        )
    raw.close()
    assert owner == APPLICATION_ID
    with pytest.raises(LeaseServiceError, match="unsafe use of load_extension"):
        await book(file, 2, 3)
