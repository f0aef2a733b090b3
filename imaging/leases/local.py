"""Leases in an SQLite file of this host.

Who may write the file may do everything to it; the rules here are those that people keep to. That
two leases do not overlap is seen to within the transaction that writes one.
"""

import json
import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TypeVar

import trio

from imaging.database import transaction, upgrade
from imaging.feedback.wording import LATEST_S
from imaging.leases.backend import Actor
from imaging.leases.lease import (
    Lease,
    LeaseRefusedError,
    LeaseServiceError,
    current,
    moment_text,
)
from imaging.leases.times import MINUTE_S

T = TypeVar("T")

APPLICATION_ID = 0x494D474C  # tells our files from what else is kept in SQLite
MIGRATIONS = (
    (
        # times in seconds since the epoch; nodes are a JSON list of names, NULL the whole testbed
        """
        CREATE TABLE lease (
            id INTEGER PRIMARY KEY AUTOINCREMENT, holder TEXT NOT NULL, start INTEGER NOT NULL,
            end INTEGER NOT NULL, nodes TEXT
        )
        """,
        "CREATE INDEX lease_end ON lease (end)",
    ),
)
BUSY_TIMEOUT_S = 2.0
ID_DIGITS = 18  # more do not fit
SHARED_FILE = 0o666  # as far as the directory allows it


class LocalLeases:
    """The leases in one file. See LeaseBackend."""

    def __init__(self, path: Path) -> None:
        """``path`` need not exist: then there are no leases. Its directory must."""
        self._path = path

    @property
    def place(self) -> str:
        """The file."""
        return str(self._path)

    async def current(self, now: float) -> list[Lease]:
        """The leases that give a right now, the longest ones first."""
        return current(await self.between(now, now + 1), now)

    async def between(self, start: float, end: float) -> list[Lease]:
        """The leases that give a right at any moment between the two, by their start."""
        return await _in_thread(lambda: self._read(start, end))

    async def granularity(self) -> float:
        """Whole minutes: nobody says seconds."""
        return MINUTE_S

    async def book(
        self, actor: Actor, holder: str, start: float, end: float, nodes: tuple[str, ...] | None
    ) -> Lease:
        """Make a lease. Raises LeaseRefusedError when there is one in its way."""
        if holder != actor.login and not actor.privileged:
            raise LeaseRefusedError(
                f"{actor.login} cannot book for {holder}", hint="[leases] privileged names who can"
            )

        def write(connection: sqlite3.Connection) -> Lease:
            _refuse_overlap(connection, start, end, nodes)
            cursor = connection.execute(
                "INSERT INTO lease (holder, start, end, nodes) VALUES (?, ?, ?, ?)",
                (holder, int(start), int(end), None if nodes is None else json.dumps(nodes)),
            )
            return Lease(str(cursor.lastrowid), holder, int(start), int(end), nodes)

        return await _in_thread(lambda: self._write(write))

    async def extend(self, actor: Actor, lease_id: str, end: float) -> Lease:
        """Have a lease last longer, unless there is one in its way."""

        def write(connection: sqlite3.Connection) -> Lease:
            lease = _own_lease(connection, actor, lease_id)
            if end <= lease.end:
                raise LeaseRefusedError(
                    f"lease {lease.lease_id} lasts until {moment_text(lease.end)} already"
                )
            _refuse_overlap(connection, lease.start, end, lease.nodes, but=lease.lease_id)
            connection.execute("UPDATE lease SET end = ? WHERE id = ?", (int(end), int(lease_id)))
            return Lease(lease.lease_id, lease.holder, lease.start, int(end), lease.nodes)

        return await _in_thread(lambda: self._write(write))

    async def cancel(self, actor: Actor, lease_id: str, now: float) -> Lease | None:
        """Remove a lease; one that is at work ends with this minute's beginning.

        So whoever books now has the rest of the minute. One that is over stays.
        """

        def write(connection: sqlite3.Connection) -> Lease | None:
            lease = _own_lease(connection, actor, lease_id)
            ends = int(now // MINUTE_S * MINUTE_S)
            if lease.end <= now:
                raise LeaseRefusedError(
                    f"lease {lease.lease_id} is over", hint="nothing needs to be cancelled"
                )
            if lease.start >= ends:
                connection.execute("DELETE FROM lease WHERE id = ?", (int(lease_id),))
                return None
            connection.execute("UPDATE lease SET end = ? WHERE id = ?", (ends, int(lease_id)))
            return Lease(lease.lease_id, lease.holder, lease.start, ends, lease.nodes)

        return await _in_thread(lambda: self._write(write))

    def _read(self, start: float, end: float) -> list[Lease]:
        with self._opened(writing=False) as connection:
            return _leases_between(connection, start, end)

    def _write(self, write: Callable[[sqlite3.Connection], T]) -> T:
        with self._opened(writing=True) as connection, transaction(connection):
            return write(connection)

    @contextmanager
    def _opened(self, *, writing: bool) -> Iterator[sqlite3.Connection]:
        """The file, or an empty one in memory where nobody has booked yet."""
        try:
            if not self._path.parent.is_dir():  # not mounted, say: that is not the same as none
                raise ValueError("its directory does not exist")
            if writing:
                _make(self._path)
            with closing(_connect(self._path, writing=writing)) as connection:
                upgrade(connection, APPLICATION_ID, MIGRATIONS)
                yield connection
        except (sqlite3.Error, OSError, ValueError) as error:
            words = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
            raise LeaseServiceError(
                f"the leases in {self._path} cannot be {'changed' if writing else 'read'}: {words}",
                hint="see [leases] file",
            ) from error


async def _in_thread(work: Callable[[], T]) -> T:
    """A disk that hangs does not outlast the caller's patience."""
    return await trio.to_thread.run_sync(work, abandon_on_cancel=True)


def _make(path: Path) -> None:
    """Make the file when it is missing, as writable as its directory: groups share it."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        return
    try:
        os.fchmod(descriptor, path.parent.stat().st_mode & SHARED_FILE | 0o600)
    finally:
        os.close(descriptor)


def _connect(path: Path, *, writing: bool) -> sqlite3.Connection:
    # not a write-ahead log: to read it, users would have to be allowed to write the directory
    if path.exists() and not path.is_file():
        raise ValueError("it is no file")  # a named pipe would be waited for
    if not writing and not (path.exists() and path.stat().st_size):
        return sqlite3.connect(":memory:", isolation_level=None)
    connection = sqlite3.connect(
        f"{path.absolute().as_uri()}?mode={'rw' if writing else 'ro'}",
        uri=True,
        timeout=BUSY_TIMEOUT_S,
        isolation_level=None,  # transactions are begun where they are meant
    )
    # others may have written the file: nothing in its schema is to be run
    connection.execute("PRAGMA trusted_schema = OFF")
    return connection


def _leases_between(connection: sqlite3.Connection, start: float, end: float) -> list[Lease]:
    rows = connection.execute(
        """
        SELECT id, holder, start, end, nodes FROM lease WHERE end > ? AND start < ?
        OR typeof(start) != 'integer' OR typeof(end) != 'integer' ORDER BY start, id
        """,  # what is no time is not left out: it is an error
        (start, end),
    )
    return [_lease(*row) for row in rows]


def _refuse_overlap(
    connection: sqlite3.Connection,
    start: float,
    end: float,
    nodes: tuple[str, ...] | None,
    but: str = "",
) -> None:
    for lease in _leases_between(connection, start, end):
        if lease.lease_id != but and lease.meets(start, end, nodes):
            raise LeaseRefusedError(
                f"{lease.who} holds {lease.what} from {moment_text(lease.start)} "
                f"until {moment_text(lease.end)} (lease {lease.lease_id})"
            )


def _own_lease(connection: sqlite3.Connection, actor: Actor, lease_id: str) -> Lease:
    """A lease that this user may change. Raises LeaseRefusedError."""
    is_number = lease_id.isascii() and lease_id.isdecimal() and len(lease_id) <= ID_DIGITS
    row = connection.execute(
        "SELECT id, holder, start, end, nodes FROM lease WHERE id = ?",
        (int(lease_id) if is_number else -1,),
    ).fetchone()
    if row is None:
        raise LeaseRefusedError(f"there is no lease {lease_id!r}", hint="imaging-leases has them")
    lease = _lease(*row)
    if lease.holder != actor.login and not actor.privileged:
        raise LeaseRefusedError(
            f"lease {lease.lease_id} is {lease.who}'s, not {actor.login}'s",
            hint="[leases] privileged names who may change it, too",
        )
    return lease


def _lease(number: object, holder: object, start: object, end: object, nodes: object) -> Lease:
    """One row. SQLite lets every column hold everything: raises ValueError for what cannot be."""
    if not isinstance(number, int) or not isinstance(holder, str):
        raise ValueError("it holds a lease of nobody")
    for moment in (start, end):
        if not isinstance(moment, int) or not 0 <= moment < LATEST_S:
            raise ValueError(f"it holds lease {number} with a time that is none")
    assert isinstance(start, int)
    assert isinstance(end, int)
    return Lease(str(number), holder, start, end, _node_names(number, nodes))


def _node_names(number: int, text: object) -> tuple[str, ...] | None:
    if text is None:
        return None
    try:
        names = json.loads(text) if isinstance(text, str) else None
    except (ValueError, RecursionError):
        names = None
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise ValueError(f"it holds lease {number} with nodes that are none")
    return tuple(names)
