"""The four commands of the data plane, and the one way they run.

Everything they say goes to standard error, one write per message, so that whoever reads a pipe,
a pty or a telnet session sees each message and each progress mark when it happens. Only help and
version, when asked for, go to standard output.
"""

import getopt
import os
import signal
import sys
from collections.abc import Callable, Sequence
from typing import NoReturn

from imaging import __version__
from imaging.frisbee.errors import FrisbeeError, UsageError
from imaging.frisbee.packets import pack_address

VERSION_LINE = f"imaging {__version__}\n"
SIGNAL_STATUS = 128
"""Plus the signal's number: what a shell sees of a program that a signal has killed."""


class _SignalledError(BaseException):
    """SIGTERM or SIGHUP has come; as KeyboardInterrupt, it is no Exception."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


def say(text: str) -> None:
    """Write `text` to standard error, unbuffered; the newline is the caller's.

    Raises:
        BrokenPipeError: whoever read it has gone.
    """
    data = text.encode(errors="backslashreplace")
    while data:
        data = data[os.write(2, data) :]


def parse_options(
    argv: Sequence[str], short: str, long: Sequence[str], usage: str
) -> tuple[list[tuple[str, str]], list[str]]:
    """Split arguments into options and the rest, mixed as with GNU getopt.

    Raises:
        UsageError: an option is unknown or lacks its value; the message ends with `usage`.
    """
    try:
        return getopt.gnu_getopt(list(argv), short, list(long))
    except getopt.GetoptError as error:
        raise UsageError(f"{error.msg}\n{usage}") from error


def number_option(option: str, value: str, minimum: int, maximum: int) -> int:
    """Read the value of an option as a decimal number.

    Raises:
        UsageError: it is none, or is not between `minimum` and `maximum`.
    """
    try:
        number = int(value)
    except ValueError:
        number = minimum - 1
    if not minimum <= number <= maximum:
        raise UsageError(f"{option} {value}: not a number between {minimum} and {maximum}")
    return number


def address_option(option: str, value: str) -> str:
    """Check that the value of an option is an IPv4 address.

    Raises:
        UsageError: it is none.
    """
    try:
        pack_address(value)
    except ValueError:
        raise UsageError(f"{option} {value}: not an IPv4 address") from None
    return value


def uuid_option(option: str, value: str) -> bytes:
    """Read the value of an option as an image's UUID: 32 hexadecimal digits.

    Raises:
        UsageError: it is none.
    """
    digits = value.removeprefix("0x")
    try:
        uuid = bytes.fromhex(digits)
    except ValueError:
        uuid = b""
    if len(digits) != 32 or len(uuid) != 16:
        raise UsageError(f"{option} {value}: not 32 hexadecimal digits")
    return uuid


def run_command(
    body: Callable[[Sequence[str]], int], argv: Sequence[str] | None = None
) -> NoReturn:
    """Run one command to its exit status, with its foreseeable failures as one line each.

    SIGTERM and SIGHUP end it as SIGINT does, by an exception, so that it leaves nothing half done;
    unless it has handlers of its own, or was started with them ignored, as by nohup. With
    ``--version`` it does nothing but print it.

    Args:
        body: takes the arguments (without the program's name), returns the exit status.
        argv: the arguments; by default those of the process.

    Raises:
        SystemExit: always.
    """
    arguments = sys.argv[1:] if argv is None else argv
    if "--version" in arguments:
        sys.stdout.write(VERSION_LINE)
        raise SystemExit(0)
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _end)
    try:
        try:
            status = body(arguments)
        except FrisbeeError as error:
            status = error.exit_status
            say(f"{error}\n")
    except BrokenPipeError:
        status = SIGNAL_STATUS + signal.SIGPIPE
    except KeyboardInterrupt:
        status = SIGNAL_STATUS + signal.SIGINT
    except _SignalledError as error:
        status = SIGNAL_STATUS + error.number
    raise SystemExit(status)


def _end(number: int, _frame: object) -> NoReturn:
    signal.signal(number, signal.SIG_IGN)  # one more must not disturb the cleaning up
    raise _SignalledError(number)
