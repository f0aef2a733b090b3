"""The family of errors that a user can meet.

Each message says what failed, on which node, at which step, and what to do. The class says who
must act, and decides the exit code: a :class:`ConfigurationError` is found before any node is
touched (2), the others happen afterwards (1). Anything outside this family is a bug.
"""

from enum import StrEnum


class Reason(StrEnum):
    """Why a node was not done: a stable word for reports and scripts."""

    NEXTBOOT_FAILED = "nextboot-failed"
    NO_CMC = "no-cmc"
    POWER_REFUSED = "power-refused"
    RESET_IGNORED = "reset-ignored"
    NO_TELNET = "no-telnet"
    NOT_OUR_RAMDISK = "not-our-ramdisk"
    CONSOLE_LOST = "console-lost"
    NO_DISK = "no-disk"
    DISK_TOO_SMALL = "disk-too-small"
    FRISBEE_FAILED = "frisbee-failed"
    IMAGEZIP_FAILED = "imagezip-failed"
    NETCAT_FAILED = "netcat-failed"
    INCOMPLETE_IMAGE = "incomplete-image"
    STORE_FAILED = "store-failed"
    STALLED = "stalled"
    SERVER_FAILED = "server-failed"
    SERVER_DIED = "server-died"
    BUSY = "busy"
    LOCK_FAILED = "lock-failed"
    NO_LEASE = "no-lease"
    LEASE_TOO_SHORT = "lease-too-short"
    LEASES_UNREACHABLE = "leases-unreachable"
    NO_SSH = "no-ssh"
    TIMEOUT = "timeout"
    INTERRUPTED = "interrupted"
    INTERNAL = "internal-error"


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
