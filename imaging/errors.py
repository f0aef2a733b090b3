"""The family of errors that a user can meet.

Each message says what failed, on which node, at which step, and what to do. The class says who
must act, and decides the exit code: a :class:`ConfigurationError` is found before any node is
touched (2), the others happen afterwards (1). Anything outside this family is a bug.
"""

from enum import StrEnum
from typing import Self


class Reason(StrEnum):
    """Why a node was not done: a stable word for reports and scripts."""

    meaning: str  # what happened
    cure: str  # what whoever reads it can do

    def __new__(cls, word: str, meaning: str = "", cure: str = "") -> Self:
        """The word, with what is to be said of it."""
        made = str.__new__(cls, word)
        made._value_ = word
        made.meaning = meaning
        made.cure = cure
        return made

    NEXTBOOT_FAILED = (
        "nextboot-failed",
        "the nextboot link could not be made, or not be removed",
        (
            "The message names the link. Look at what is in its place, and who may write its "
            "directory: `imaging-config --check`, `imaging-nextboot`."
        ),
    )
    NO_CMC = (
        "no-cmc",
        "the node's power card does not answer",
        (
            "See that the card is powered, cabled, and at the address of the inventory; "
            "`imaging-status` asks it again."
        ),
    )
    POWER_REFUSED = (
        "power-refused",
        "the card answered, and did not do as it was told",
        (
            "The message has the card's answer. Look at login and password where the model has "
            "them; a card that answers nonsense must be restarted itself."
        ),
    )
    RESET_IGNORED = (
        "reset-ignored",
        (
            "the node still ran its old system after a reset, and after all that `[power] "
            "escalation` names"
        ),
        (
            "Does the card belong to this node, says the inventory, and does the node's firmware "
            "boot from the network first? Cut its power by hand once."
        ),
    )
    NO_TELNET = (
        "no-telnet",
        "the ramdisk did not answer in time",
        (
            "Look at the node's screen while it boots: DHCP, TFTP, kernel; `imaging-ramdisk check` "
            "looks at the files. A node that only boots slowly needs more of `[boot] timeout_s`."
        ),
    )
    NOT_OUR_RAMDISK = (
        "not-our-ramdisk",
        "what answered is not the ramdisk that our reset has booted",
        (
            "The node's transcript has what it said. See that the nextboot link's target boots a "
            "ramdisk with a shell, and no login, behind `[console] port`."
        ),
    )
    CONSOLE_LOST = (
        "console-lost",
        "the connection to the ramdisk broke",
        (
            "Did the node lose power, or somebody else reset it? Load again; a save has changed "
            "nothing on the node."
        ),
    )
    NO_DISK = (
        "no-disk",
        "the node has no such disk",
        (
            "See that `[ramdisk] disk` is its name there, that the disk is cabled, and that the "
            "ramdisk's kernel has its driver."
        ),
    )
    DISK_TOO_SMALL = (
        "disk-too-small",
        "the image does not fit on the disk",
        "Take a larger disk, or save the image anew from a disk whose partitions end earlier.",
    )
    FRISBEE_FAILED = (
        "frisbee-failed",
        "the node's frisbee client failed",
        (
            "Its last words are in the message. Status 127: the ramdisk has no `[ramdisk] client`; "
            "otherwise the disk may be failing. Load again, for the disk is half-written."
        ),
    )
    IMAGEZIP_FAILED = (
        "imagezip-failed",
        "the node's imagezip failed",
        (
            "Its last words are in the message. Status 127: the ramdisk has no `[ramdisk] "
            "imagezip`; otherwise the disk may be failing."
        ),
    )
    NETCAT_FAILED = (
        "netcat-failed",
        "the node's netcat failed, or ended too early",
        (
            "See that `[ramdisk] netcat` and `netcat_flavour` are those of the ramdisk, and that "
            "the node can reach this host: routes, firewall, `[multicast] address`."
        ),
    )
    INCOMPLETE_IMAGE = (
        "incomplete-image",
        "what arrived of a saved image is not whole",
        (
            "No image was made. Save again; when it comes back, the node's memory or its imagezip "
            "is at fault."
        ),
    )
    STORE_FAILED = (
        "store-failed",
        "this host could not keep the saved image",
        "Make room in the images directory, or get the right to write there; then save again.",
    )
    STALLED = (
        "stalled",
        "a transfer made no progress for too long",
        (
            "A client that found no server: does multicast reach the node (IGMP snooping, a "
            "querier)? One that stopped: did the node lose power, or the disk hang? See "
            "`[multicast] stall_timeout_s`."
        ),
    )
    SERVER_FAILED = (
        "server-failed",
        "the frisbee server could not be started",
        (
            "Its own words are in the message, and in `server.log` of the transcripts. See "
            "`[multicast] server`, `address` and `ports`."
        ),
    )
    SERVER_DIED = (
        "server-died",
        "the frisbee server ended during the run",
        (
            "Its last words are in the message, and in `server.log` of the transcripts. Load the "
            "failed nodes again: `--retry-last`."
        ),
    )
    BUSY = (
        "busy",
        "another command works on that node, or saves an image of that name; it is named",
        "Wait for it, by hand or with `--wait-lock`, or talk to its owner.",
    )
    LOCK_FAILED = (
        "lock-failed",
        "the node's lock could not be made",
        (
            "The message says why. `[locks] directory` must be there, and open to all users as "
            "`/tmp` is."
        ),
    )
    NO_LEASE = (
        "no-lease",
        "the user has no lease now, or has none any more; whose the node is, is told",
        "`imaging-leases` lists them, and `imaging-leases book` books.",
    )
    LEASE_TOO_SHORT = (
        "lease-too-short",
        "the user's lease may end before the run, and `--strict-lease` was given",
        "`imaging-leases extend` makes it last longer.",
    )
    LEASES_UNREACHABLE = (
        "leases-unreachable",
        "the leases are not known: where they are, and what was met there, is told",
        (
            "See that the service answers, or the file can be read; `[leases] when_unreachable` "
            "decides what comes of it meanwhile."
        ),
    )
    NO_SSH = (
        "no-ssh",
        "ssh did not answer in time",
        (
            "The message has what the last attempt met. Does the image boot, and take the key of "
            "`[ssh] key`? One that boots slowly needs more of `[ssh] timeout_s`."
        ),
    )
    TIMEOUT = (
        "timeout",
        "the run's timeout came first",
        (
            "The step says where the time went. Give more with `--timeout`, or load the nodes that "
            "were not done again: `--retry-last`."
        ),
    )
    INTERRUPTED = (
        "interrupted",
        "the run was interrupted by a signal",
        (
            "Nothing is wrong. A disk that was being written is half-written: load it again, "
            "`--retry-last`."
        ),
    )
    INTERNAL = (
        "internal-error",
        "a mistake in imaging itself; the log has the traceback",
        "Report it, with that part of the log.",
    )


class ImagingError(Exception):
    """Root of every foreseeable failure.

    The message is one line, without a full stop at the end, and meant for the user.
    """

    exit_code = 1

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        """Keep the message, and what the user can do about it."""
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} ({self.hint})" if self.hint else self.message


class ConfigurationError(ImagingError):
    """Settings, inventory, selection, image or tools are not usable: found before any action."""

    exit_code = 2


class InfrastructureError(ImagingError):
    """What the whole run depends on failed: the frisbee server, the network, a disk, a lease."""

    def __init__(self, message: str, *, reason: Reason, hint: str | None = None) -> None:
        """Keep the reason that every unfinished node gets."""
        super().__init__(message, hint=hint)
        self.reason = reason


class NodeError(ImagingError):
    """One node failed; the others go on."""

    def __init__(self, message: str, *, reason: Reason, hint: str | None = None) -> None:
        """Keep the stable reason word of the report."""
        super().__init__(message, hint=hint)
        self.reason = reason


def first_leaf(error: BaseException) -> BaseException:
    """The first error that is no group: what a group has to say in one line."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
