"""The telnet of the ramdisks: real option negotiation, as two telnetds do it. Pure.

``busybox`` offers its options and goes on without an answer; ``inetutils`` asks its questions and
says nothing more until they are answered (both observed on the real programs).
"""

import struct
from dataclasses import dataclass, field
from enum import Enum

IAC, DONT, DO, WONT, WILL, SB, SE = 255, 254, 253, 252, 251, 250, 240
ECHO, SGA, TTYPE, NAWS, TSPEED, XDISPLOC, ENVIRON, AUTH, ENCRYPT, NEW_ENVIRON = (
    1, 3, 24, 31, 32, 35, 36, 37, 38, 39,
)  # fmt: skip
SUBNEGOTIATION_LIMIT = 1024  # bytes


class Flavour(Enum):
    """Whose telnetd is imitated."""

    BUSYBOX = "busybox"
    INETUTILS = "inetutils"


@dataclass(frozen=True, slots=True)
class Received:
    """What a piece of input came to: text for the shell, replies for the client."""

    text: bytes = b""
    replies: bytes = b""
    window: tuple[int, int] | None = None  # columns, rows


@dataclass(slots=True)
class TelnetServer:
    """The server's end of one connection."""

    flavour: Flavour
    _questions: set[int] = field(default_factory=set)
    _offers: set[int] = field(default_factory=set)
    _pending: bytes = b""

    def greeting(self) -> bytes:
        """The first bytes of the connection."""
        if self.flavour is Flavour.BUSYBOX:
            return self._ask((DO, ECHO), (DO, NAWS), (WILL, ECHO), (WILL, SGA))
        will = [(WILL, option) for option in (AUTH, ENCRYPT)]
        do = [(DO, option) for option in (TTYPE, TSPEED, XDISPLOC, NEW_ENVIRON, ENVIRON)]
        return self._ask(*will, *do)

    @property
    def ready(self) -> bool:
        """Whether the shell may start."""
        return self.flavour is Flavour.BUSYBOX or not self._questions

    def start_of_shell(self) -> bytes:
        """What inetutils settles before its first text."""
        if self.flavour is Flavour.BUSYBOX:
            return b""
        return self._ask((WILL, ECHO), (WILL, SGA), (DO, NAWS))

    def receive(self, data: bytes) -> Received:
        """Take the next bytes of the client, cut anywhere."""
        data = self._pending + data
        self._pending = b""
        text, replies = bytearray(), bytearray()
        window: tuple[int, int] | None = None
        place = 0
        while place < len(data):
            if data[place] != IAC:
                end = data.find(IAC, place)
                end = len(data) if end < 0 else end
                text += data[place:end]
                place = end
                continue
            size = _command_size(data, place)
            if size is None:
                self._pending = data[place : place + SUBNEGOTIATION_LIMIT]
                break
            command = data[place : place + size]
            place += size
            if command == bytes([IAC, IAC]):
                text.append(IAC)
            elif command[1] in (DO, DONT, WILL, WONT):
                replies += self._answer(command[1], command[2])
            elif command[1:3] == bytes([SB, NAWS]) and len(command) == 9:
                columns, rows = struct.unpack(">HH", command[3:7])
                window = (columns, rows)
        # a network line ends with CR LF or CR NUL (RFC 854)
        lines = bytes(text).replace(b"\r\0", b"\r").replace(b"\r\n", b"\n")
        return Received(lines, bytes(replies), window)

    def send(self, output: bytes) -> bytes:
        """The terminal's output as telnet."""
        escaped = output.replace(bytes([IAC]), bytes([IAC, IAC]))
        if self.flavour is Flavour.INETUTILS:
            return escaped.replace(b"\r", b"\r\0").replace(b"\r\0\n", b"\r\n")
        return escaped

    def _ask(self, *commands: tuple[int, int]) -> bytes:
        for verb, option in commands:
            (self._questions if verb == DO else self._offers).add(option)
        return b"".join(bytes([IAC, verb, option]) for verb, option in commands)

    def _answer(self, verb: int, option: int) -> bytes:
        if verb in (WILL, WONT):
            asked = option in self._questions
            self._questions.discard(option)
            return b"" if asked or verb == WONT else bytes([IAC, DONT, option])
        offered = option in self._offers
        return b"" if offered or verb == DONT else bytes([IAC, WONT, option])


def _command_size(data: bytes, place: int) -> int | None:
    """The size of the telnet command at this place; None when it has not come whole."""
    if place + 1 >= len(data):
        return None
    verb = data[place + 1]
    if verb in (DO, DONT, WILL, WONT):
        return 3 if place + 2 < len(data) else None
    if verb == SB:
        end = data.find(bytes([IAC, SE]), place + 2)
        return None if end < 0 else end + 2 - place
    return 2
