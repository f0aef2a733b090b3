"""Reading option values of server and client."""

from imaging.frisbee.errors import UsageError
from imaging.frisbee.packets import pack_address


def number_option(option: str, text: str, low: int, high: int) -> int:
    """A whole number within bounds. Raises UsageError."""
    try:
        value = int(text)
    except ValueError:
        raise UsageError(f"{option} {text}: is not a number") from None
    if not low <= value <= high:
        raise UsageError(f"{option} {text}: must be {low} to {high}")
    return value


def address_option(option: str, text: str) -> str:
    """An IPv4 address. Raises UsageError."""
    try:
        pack_address(text)
    except ValueError:
        raise UsageError(f"{option} {text}: is not an IPv4 address") from None
    return text
