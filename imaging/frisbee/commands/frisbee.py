"""imaging-frisbee: receive an image onto a disk, with the C tool's command line."""

import os
import signal
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NoReturn

from imaging.frisbee.client import Client, ImageSize
from imaging.frisbee.commands import (
    address_option,
    number_option,
    parse_options,
    run_command,
    say,
)
from imaging.frisbee.disk import open_output
from imaging.frisbee.download import Pace
from imaging.frisbee.errors import FrisbeeError, UsageError
from imaging.frisbee.marks import ProgressMarks
from imaging.frisbee.packets import pack_address
from imaging.frisbee.reception import ClientOptions
from imaging.frisbee.resources import worker_threads
from imaging.frisbee.sinks import ExpandingSink, OutputDisk, RawSink
from imaging.frisbee.sockets import SessionAddress, SessionSocket
from imaging.frisbee.statistics import client_lines

USAGE = """\
usage: imaging-frisbee -i ADDRESS -m GROUP -p PORT [options] OUTPUT
 -i ADDRESS  this node's own address
 -m GROUP    address that the image is sent to
 -p PORT     UDP port of the session
 -b          GROUP is a broadcast address
 -q          no progress marks, no statistics
 -d          debug messages
 -z          write zeros into free space, and over the rest of the disk
 -N          store the image file itself, do not expand it
 -S ADDRESS  take blocks from this server only
 -r SECONDS  wait up to so long, at random, before joining
 -O          ask for chunks in ascending order
 -R N        ask for so many chunks ahead (2)
 -I MS       ask again after so many milliseconds (300)
 -C MB, -W MB, -M MB  memory for chunks, for writing, for both
 -K SECONDS  renew the membership in the group after so long without a packet
 --join-timeout SECONDS   give up when no server answers for so long (60)
 --stall-timeout SECONDS  give up when nothing new comes for so long (60)
 --disk      OUTPUT is a disk of fixed size, also when it is a regular file
 -n, -f are accepted for compatibility, and have no effect
"""
CHUNK_BUFFER_BYTES = 1048716  # what the C tool counts for a chunk
WORKERS_LIMIT = 4  # threads; they expand faster than any disk writes
LONG_OPTIONS = ["help", "join-timeout=", "stall-timeout=", "disk"]


@dataclass(frozen=True, slots=True)
class Arguments:
    """The command line, checked."""

    address: SessionAddress
    options: ClientOptions
    output: str
    as_disk: bool
    zero_fill: bool
    quiet: bool
    write_bytes: int


def _seconds(option: str, text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        raise UsageError(f"{option} {text}: is not a number of seconds") from None
    if not 0 < value < 1e6:
        raise UsageError(f"{option} {text}: must be more than 0")
    return value


def _memory(option: str, options: dict[str, str]) -> int:
    """The memory that -C or -W allows, or half of what -M does, in bytes."""
    if "-M" in options:
        return number_option("-M", options["-M"], 2, 1 << 20) // 2 << 20
    return number_option(option, options.get(option, "64"), 1, 1 << 20) << 20


def _buffers(options: dict[str, str]) -> int:
    """How many chunks fit in the memory that is allowed; at least two."""
    return max(2, _memory("-C", options) // CHUNK_BUFFER_BYTES)


def _parse(arguments: Sequence[str]) -> Arguments | None:
    """The command line; None for --help. Raises UsageError."""
    found, rest = parse_options(
        arguments, "i:m:p:bqdzNS:r:OR:I:C:W:M:K:nfs:D:u:ceh", LONG_OPTIONS, USAGE
    )
    options = dict(found)
    if "-h" in options or "--help" in options:
        return None
    for unsupported in ("-s", "-D", "-u", "-c", "-e"):
        if unsupported in options:
            raise UsageError(f"{unsupported} is not supported")
    if not all(key in options for key in ("-i", "-m", "-p")) or len(rest) != 1:
        raise UsageError(f"-i, -m, -p and one OUTPUT are needed\n{USAGE}")
    server = options.get("-S")
    ahead = number_option("-R", options.get("-R", "2"), 1, 1024)
    return Arguments(
        address=SessionAddress(
            address_option("-i", options["-i"]),
            address_option("-m", options["-m"]),
            number_option("-p", options["-p"], 1, 65535),
            "-b" in options,
        ),
        options=ClientOptions(
            raw="-N" in options,
            only_server=pack_address(address_option("-S", server)) if server else None,
            start_delay_s=number_option("-r", options.get("-r", "0"), 0, 10**6),
            ascending="-O" in options,
            buffers=_buffers(options),
            workers=worker_threads(WORKERS_LIMIT),
            keepalive_s=number_option("-K", options.get("-K", "0"), 0, 10**9),
            join_timeout_s=_seconds("--join-timeout", options.get("--join-timeout", "60")),
            stall_timeout_s=_seconds("--stall-timeout", options.get("--stall-timeout", "60")),
            pace=Pace(
                read_ahead=ahead,
                in_progress=max(8, 4 * ahead),
                redo_s=number_option("-I", options.get("-I", "300"), 1, 10**6) / 1000,
            ),
        ),
        output=rest[0],
        as_disk="--disk" in options,
        zero_fill="-z" in options,
        quiet="-q" in options,
        write_bytes=_memory("-W", options),
    )


def body(arguments: Sequence[str]) -> int:
    """Run the client; returns its exit status."""
    parsed = _parse(arguments)
    if parsed is None:
        sys.stdout.write(USAGE)
        return 0
    link = SessionSocket(parsed.address, hear_oneself=True)
    try:
        return _receive(parsed, link)
    finally:
        link.close()


def _receive(arguments: Arguments, link: SessionSocket) -> int:
    address = arguments.address
    kind = "Multicast" if address.is_multicast else "Unicast"
    say(f"Bound to port {address.port}\nUsing {kind} {address.group}\n")
    fd, fixed_size = open_output(arguments.output, as_disk=arguments.as_disk)
    client = Client(link, arguments.options, lambda line: say(f"{line}\n"))
    _die_politely(client)
    try:
        size = client.join()
        waited = int(time.monotonic() - client.started)
        say(
            f"Joined the team after {waited} sec. ID is {client.client_id}. "
            f"File is {size.chunks} chunks ({size.size} bytes)\n"
        )
        sink = _sink(arguments, fd, fixed_size, size, client.started)
        statistics = client.transfer(size, sink)
        client.leave(statistics)
    except BaseException:
        _leave_early(client)
        raise
    finally:
        os.close(fd)
    if not arguments.quiet:
        say("\n".join(client_lines(client.client_id, statistics)) + "\n")
    say(
        f"\nLeft the team after {int(time.monotonic() - client.started)} seconds on the field!\n"
        f"Wrote {sink.effective_bytes} bytes ({sink.actual_bytes} actual)\n"
        f"{statistics.decompressor_blocked} {statistics.writer_idles} {sink.writes}\n"
    )
    return 0


def _sink(
    arguments: Arguments, fd: int, fixed_size: int | None, size: ImageSize, started: float
) -> RawSink | ExpandingSink:
    if arguments.options.raw:
        return RawSink(fd, size.size)
    return ExpandingSink(
        OutputDisk(fd, arguments.output, fixed_size, arguments.zero_fill),
        None if arguments.quiet else ProgressMarks(size.chunks),
        say,
        started,
        ahead_bytes=arguments.write_bytes // arguments.options.workers,
    )


def _die_politely(client: Client) -> None:
    """A signal ends the client as it ends the C tool, but the server is told."""

    def die(number: int, _frame: object) -> None:
        signal.signal(number, signal.SIG_DFL)
        if threading.current_thread() is threading.main_thread():
            _leave_early(client)
        os.kill(os.getpid(), number)

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, die)


def _leave_early(client: Client) -> None:
    """Tell the server that we are gone, else -T -1 waits for us for ever.

    It may have heard our JOIN even if we have not heard its answer.
    """
    if client.joins:
        try:
            client.leave()
        except FrisbeeError:
            say("the server could not be told\n")


def main(argv: Sequence[str] | None = None) -> NoReturn:
    """The console script."""
    run_command(body, argv)


if __name__ == "__main__":
    main()
