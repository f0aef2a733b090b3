"""imaging-frisbeed: serve one image to one group, with the C tool's command line."""

import os
import signal
import stat
import sys
import time
from collections.abc import Callable, Sequence
from typing import NoReturn

from imaging.frisbee.commands import (
    address_option,
    number_option,
    parse_options,
    run_command,
    say,
)
from imaging.frisbee.errors import FrisbeeError, UsageError
from imaging.frisbee.image_packets import ImagePackets
from imaging.frisbee.pacing import WIRE_BITS_PER_BLOCK
from imaging.frisbee.packets import pack_address
from imaging.frisbee.server import Server
from imaging.frisbee.server_session import ServerOptions
from imaging.frisbee.sockets import SessionAddress, SessionSocket

USAGE = """\
usage: imaging-frisbeed -i ADDRESS -m GROUP -p PORT [options] IMAGE
 -i ADDRESS  this host's address on the nodes' network
 -m GROUP    address that the image is sent to
 -p PORT     UDP port of the session
 -b          GROUP is a broadcast address
 -d          log to standard error, not to syslog; twice: requests too
 -T SECONDS  end after so long without requests (1800); 0: never; less: with the last client
 -W BITS     bandwidth in bits/s on the wire; less than one block's 8976: no limit
 -G 0        no limit of the bandwidth
 -K SECONDS  renew the membership in the group after so long without a packet
 -B, -R N, -D, -t are accepted for compatibility, and have no effect
"""
DEFAULT_BANDWIDTH = 71_808_000.0  # bits/s; the C tool's
SYSTEM_STATUS = 255
HANGUP_STATUS = 1

Log = Callable[[str], None]


def _open_log(debug: int) -> Log:
    if debug:
        return lambda text: say(f"{text}\n")
    import syslog

    syslog.openlog("frisbeed", syslog.LOG_PID, syslog.LOG_USER)
    return lambda text: syslog.syslog(syslog.LOG_INFO, text)


def _parse(arguments: Sequence[str]) -> tuple[dict[str, str], int, str]:
    """Options by letter (the last one counts), how often -d, and the image."""
    found, rest = parse_options(arguments, "i:m:p:bdT:W:G:K:B:R:Dth", ["help"], USAGE)
    options = dict(found)
    if "-h" in options or "--help" in options:
        return {"-h": ""}, 0, ""
    if not all(key in options for key in ("-i", "-m", "-p")) or len(rest) != 1:
        raise UsageError(f"-i, -m, -p and one IMAGE are needed\n{USAGE}")
    return options, sum(1 for key, _ in found if key == "-d"), rest[0]


def _open_image(path: str) -> tuple[int, int]:
    """The image's descriptor and size in bytes. Raises FrisbeeError."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    except OSError as error:
        raise FrisbeeError(
            f"Cannot read {path} : {error.strerror}", exit_status=SYSTEM_STATUS
        ) from error
    status = os.fstat(fd)
    if not stat.S_ISREG(status.st_mode) or status.st_size == 0:
        os.close(fd)
        what = "is empty" if stat.S_ISREG(status.st_mode) else "is not a regular file"
        raise FrisbeeError(f"Cannot read {path} : {what}", exit_status=SYSTEM_STATUS)
    return fd, status.st_size


def _bandwidth(options: dict[str, str]) -> float | None:
    if options.get("-G") == "0":
        return None
    if "-W" in options:
        bandwidth = number_option("-W", options["-W"], 0, 10**15)
        return float(bandwidth) if bandwidth >= WIRE_BITS_PER_BLOCK else None
    return DEFAULT_BANDWIDTH


def body(arguments: Sequence[str]) -> int:
    """Run the server; returns its exit status."""
    options, debug, image = _parse(arguments)
    if "-h" in options:
        sys.stdout.write(USAGE)
        return 0
    address = SessionAddress(
        address_option("-i", options["-i"]),
        address_option("-m", options["-m"]),
        number_option("-p", options["-p"], 1, 65535),
        "-b" in options,
    )
    server_options = ServerOptions(
        image=image,
        idle_s=number_option("-T", options.get("-T", "1800"), -(10**9), 10**9),
        bandwidth=_bandwidth(options),
        keepalive_s=number_option("-K", options.get("-K", "0"), 0, 10**9),
        trace_requests=debug > 1,
    )
    log = _open_log(debug)
    try:
        return _serve(server_options, address, log)
    except FrisbeeError as error:
        log(error.message)
        return error.exit_status


def _serve(options: ServerOptions, address: SessionAddress, log: Log) -> int:
    fd, size = _open_image(options.image)
    try:
        packets = ImagePackets(fd, size, pack_address(address.own))
        if size % 1048576:
            log("NOTE: serving non-image file, will ignore V1 JOINs")
        log(f"Opened {options.image}: {packets.blocks} blocks ({size} bytes)")
        limit = options.bandwidth
        log(
            f"Maximum send bandwidth {limit / 1e6:.3f} Mbits/sec"
            if limit
            else "Maximum send bandwidth unlimited"
        )
        link = SessionSocket(address, hear_oneself=False)
        try:
            log(f"Bound to port {address.port}")
            log(f"Using {_kind(address)} {address.group}")
            return _run(Server(options, link, packets, size, log), log)
        finally:
            link.close()
    finally:
        os.close(fd)


def _kind(address: SessionAddress) -> str:
    if address.is_multicast:
        return "Multicast"
    return "Broadcast" if address.broadcast else "Unicast"


def _run(server: Server, log: Log) -> int:
    caught: list[int] = []
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda number, _: caught.append(number))
    started = time.monotonic()
    ending = server.serve(lambda: bool(caught))
    if signal.SIGHUP in caught:
        log(f"Caught signal {int(signal.SIGHUP)}. Exiting ...")
        return HANGUP_STATUS
    log(ending)
    for line in server.statistics(time.monotonic() - started):
        log(line)
    log("Exiting!")
    return 0


def main(argv: Sequence[str] | None = None) -> NoReturn:
    """The console script."""
    run_command(body, argv)


if __name__ == "__main__":
    main()
