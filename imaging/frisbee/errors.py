"""What can go wrong in the data plane; each error carries the exit status of the four commands."""

from imaging.errors import ImagingError


class FrisbeeError(ImagingError):
    """A foreseeable failure of the data plane: one line for the user."""

    exit_status = 1

    def __init__(
        self, message: str, *, hint: str | None = None, exit_status: int | None = None
    ) -> None:
        """Keep the message and, when it differs from 1, the status that a command exits with."""
        super().__init__(message, hint=hint)
        if exit_status is not None:
            self.exit_status = exit_status


class UsageError(FrisbeeError):
    """The arguments of one of the four commands make no sense."""


class ImageError(FrisbeeError):
    """An image is malformed, truncated or corrupted."""


class DiskError(FrisbeeError):
    """A disk (or the file, or the pipe, in its place) cannot be read or written."""


class ProtocolError(FrisbeeError):
    """A packet or a session breaks the rules of the wire protocol."""
