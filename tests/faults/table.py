"""The rows of the fault table: what is wrong, a command, and what must come of it."""

from dataclasses import dataclass

from imaging.errors import Reason

TIMEOUT_S = 14


@dataclass(frozen=True)
class Row:
    """One fault (``kind=what``, blank between several), and the reason that must come of it."""

    fault: str
    reason: Reason | None = None
    words: str = ""


@dataclass(frozen=True)
class Batch:
    """Rows that share a run of one command; ``each`` is whether the command takes one node."""

    command: tuple[str, ...]
    rows: tuple[Row, ...]
    limit_s: float
    each: bool = False
    exit_code: int = 1


LOAD = ("imaging-load", "-i", "sample", "-t", str(TIMEOUT_S))
CARDS = (
    Row("cmc=refuse", Reason.NO_CMC, "is the card powered and cabled?"),
    Row("cmc=hang", Reason.NO_CMC, "no answer within"),
    Row("cmc=late:0.2"),
    Row("cmc=garbage", Reason.NO_CMC),
    Row("cmc=http-500", Reason.POWER_REFUSED, "HTTP 500"),
    Row("cmc=slow-drip", Reason.NO_CMC),
    Row("cmc=wrong-status", Reason.POWER_REFUSED, "maybe"),
)
BATCHES = {
    "load-cards": Batch(
        LOAD,
        (
            *CARDS,
            Row("cmc=ignore-reset*1"),
            Row("cmc=ignore-reset+ignore-off", Reason.RESET_IGNORED, "the reset was ignored"),
        ),
        limit_s=11,
    ),
    "load-boot": Batch(
        LOAD,
        (
            Row("boot=never", Reason.NO_TELNET, "connection refused"),
            Row("boot=old-system", Reason.RESET_IGNORED, "the system of the disk is up"),
            Row("boot=old-system*1"),
            Row("boot=slow:1"),
            Row("boot=old-ramdisk", Reason.RESET_IGNORED, "is up since"),
            Row("telnet=silent", Reason.NOT_OUR_RAMDISK, "no shell behind it"),
            Row("telnet=no-negotiation", Reason.NOT_OUR_RAMDISK),
            Row("telnet=login", Reason.NOT_OUR_RAMDISK),
            Row("telnet=drop-after:20", Reason.NOT_OUR_RAMDISK),
            Row("telnet=flood", Reason.NOT_OUR_RAMDISK),
            Row("telnet=garbage", Reason.NOT_OUR_RAMDISK),
        ),
        limit_s=11,
    ),
    "load-transfer": Batch(
        LOAD,
        (
            Row("telnet=drop", Reason.CONSOLE_LOST, "connection to the ramdisk was lost"),
            Row("power=cut", Reason.STALLED, "no progress"),
            Row("disk=missing", Reason.NO_DISK, "there is no disk"),
            Row("disk=small:1048576", Reason.DISK_TOO_SMALL, "1048576"),
            Row("disk=error", Reason.FRISBEE_FAILED, "Input/output error"),
            Row("client=missing", Reason.FRISBEE_FAILED, "127"),
            Row("client=fail:7", Reason.FRISBEE_FAILED, "status 7"),
            Row("client=stall", Reason.STALLED, "no progress"),
            Row("client=old-dialect"),
            Row("client=garbage"),
            Row("client=garbage-fail:3", Reason.FRISBEE_FAILED, "status 3"),
            Row("client=killed", Reason.FRISBEE_FAILED, "137"),
        ),
        limit_s=11,
    ),
    "load-wait": Batch(
        (*LOAD, "--wait"),
        (
            Row("ssh=refuse", Reason.NO_SSH),
            Row("ssh=hang", Reason.NO_SSH),
            Row("ssh=wrong-key", Reason.NO_SSH, "permission denied"),
            Row("ssh=closes", Reason.NO_SSH),
            Row("ssh=garbage", Reason.NO_SSH),
        ),
        limit_s=11,
    ),
    "load-retries": Batch(
        (*LOAD, "--retries", "2"),
        (
            Row("cmc=http-500*1"),
            Row("client=fail:7*1"),
            Row("telnet=drop*1"),
            Row("boot=never*1"),
            Row("disk=error*1"),
        ),
        limit_s=13,
        exit_code=0,
    ),
    "load-timeout": Batch(
        ("imaging-load", "-i", "sample", "-t", "3"),
        (Row("boot=never", Reason.TIMEOUT), Row("telnet=flood", Reason.TIMEOUT)),
        limit_s=4,
    ),
    "save": Batch(
        ("imaging-save", "-o", "saved", "-t", str(TIMEOUT_S)),
        (
            Row("cmc=refuse", Reason.NO_CMC),
            Row("cmc=http-500", Reason.POWER_REFUSED),
            Row("cmc=ignore-reset*1"),
            Row("boot=never", Reason.NO_TELNET),
            Row("boot=old-ramdisk", Reason.RESET_IGNORED),
            Row("telnet=silent", Reason.NOT_OUR_RAMDISK),
            Row("telnet=drop", Reason.CONSOLE_LOST),
            Row("disk=missing", Reason.NO_DISK),
            Row("disk=error", Reason.IMAGEZIP_FAILED, "Input/output error"),
            Row("power=cut", Reason.STALLED),
            Row("imagezip=fail:3", Reason.IMAGEZIP_FAILED, "status 3"),
            Row("imagezip=slow:1"),
            Row("imagezip=truncated", Reason.INCOMPLETE_IMAGE),
            Row("imagezip=corrupted", Reason.INCOMPLETE_IMAGE),
            Row("imagezip=silent", Reason.STALLED),
        ),
        limit_s=11,
        each=True,
    ),
    "wait-ssh": Batch(
        ("imaging-wait", "-t", "2.5"),
        (
            Row("ssh=refuse", Reason.TIMEOUT, "reset"),
            Row("ssh=hang", Reason.TIMEOUT, "no answer"),
            Row("ssh=wrong-key", Reason.TIMEOUT, "permission denied"),
            Row("ssh=closes", Reason.TIMEOUT),
            Row("ssh=garbage", Reason.TIMEOUT),
        ),
        limit_s=3.5,
    ),
    "status": Batch(("imaging-status",), CARDS, limit_s=5),
    "off": Batch(
        ("imaging-off",),
        (
            Row("cmc=ignore-off", Reason.POWER_REFUSED, "does not say off within"),
            Row("cmc=late:0.2"),
        ),
        limit_s=4,
    ),
    "on": Batch(
        ("imaging-on",),
        (Row("cmc=ignore-on", Reason.POWER_REFUSED, "does not say on within"), Row("cmc=late:0.2")),
        limit_s=4,
    ),
}
# the frisbee server is everybody's: its faults are those of the whole run
SERVERS = {
    "faults/frisbeed-refuses-port": Reason.SERVER_FAILED,
    "faults/frisbeed-silent": Reason.SERVER_FAILED,
    "faults/frisbeed-dies": Reason.SERVER_DIED,
    "faults/frisbeed-ignores": Reason.STALLED,
    "faults/frisbeed-hangs": Reason.STALLED,
}
# so is what keeps the leases: a fault of it, and the reason of the whole run
LEASES = {
    "leases=down": Reason.LEASES_UNREACHABLE,
    "leases=hang": Reason.LEASES_UNREACHABLE,
    "leases=slow:9": Reason.LEASES_UNREACHABLE,
    "leases=http-500": Reason.LEASES_UNREACHABLE,
    "leases=garbage": Reason.LEASES_UNREACHABLE,
    "leases=no-json": Reason.LEASES_UNREACHABLE,
    "leases=flood": Reason.LEASES_UNREACHABLE,
    "leases=redirect": Reason.LEASES_UNREACHABLE,
    "leases=redirect-nonsense": Reason.LEASES_UNREACHABLE,
    "leases=wrong-types": Reason.LEASES_UNREACHABLE,
    "leases=no-zone": Reason.LEASES_UNREACHABLE,
    "leases=down*1": None,
    "leases=slow:0.2": None,
    "leases=pages:1": None,
    "leases=expired-token": None,
}
LEASES_LIMIT_S = 5
# made by other tests than this table's, and why
ELSEWHERE = {
    Reason.NEXTBOOT_FAILED,  # test_node_nextboot: the place is taken between check and link
    Reason.NETCAT_FAILED,  # test_cli_save_stream
    Reason.STORE_FAILED,  # test_cli_save: this host's disk is full
    Reason.BUSY,  # test_cli_locks
    Reason.LOCK_FAILED,  # test_site_locks
    Reason.NO_LEASE,  # test_cli_leases_needed
    Reason.LEASE_TOO_SHORT,  # test_cli_leases_needed
    Reason.INTERRUPTED,  # test_cli_load, test_cli_save: signals
    Reason.INTERNAL,  # test_cli_operation: a bug
}
