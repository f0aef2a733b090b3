"""How things are spoken of: sizes, ages, times, and foreign text that a terminal can bear."""

import time
from functools import lru_cache

LATEST_S = 253_370_764_800  # since the epoch: the year 9999, the last of calendars

_UNITS = ("KiB", "MiB", "GiB", "TiB", "PiB", "EiB")


def time_text(at: float) -> str:
    """A time since the epoch as the lines of logs begin with it, so that they can be compared."""
    whole, thousandths = divmod(round(at * 1000), 1000)
    return f"{_second_text(whole)},{thousandths:03}"


@lru_cache(maxsize=8)  # a thousand nodes say a lot within the same second
def _second_text(whole: int) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(whole))


def printable(text: str) -> str:
    """The text with everything escaped that a terminal could obey: control characters, bytes that
    are no UTF-8, marks that turn the direction of writing, ends of lines.

    Names of files and texts of sidecars are written by others.
    """
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else _escaped(char) for char in text)


def _escaped(char: str) -> str:
    code = ord(char)
    if 0xDC80 <= code <= 0xDCFF:  # surrogateescape: a byte that is no UTF-8
        return f"\\x{code - 0xDC00:02x}"
    return char.encode("unicode_escape").decode("ascii")


def encodable(text: str) -> str:
    """The text as UTF-8 can hold it: names of files may be any bytes."""
    return text.encode("utf-8", "backslashreplace").decode()


def is_encodable(text: str) -> bool:
    """Whether a text is one: arguments and variables may be any bytes."""
    return encodable(text) == text


def human_size(size: int) -> str:
    """A number of bytes in the largest unit that leaves a digit before the point: ``1.5 GiB``."""
    if size < 1024:
        return f"{size} B"
    value, unit = size / 1024, 0
    # 1023.95 would be shown as 1024.0
    while value >= 1023.95 and unit + 1 < len(_UNITS):
        value, unit = value / 1024, unit + 1
    return f"{value:.1f} {_UNITS[unit]}"


def age_text(seconds: float) -> str:
    """An age in its one fitting unit, rounded down."""
    for unit, size in (("days", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{int(seconds // size)} {unit}"
    return f"{int(seconds)} s"


def utc_text(at: float) -> str:
    """A time since the epoch for scripts, to the second: ``2026-03-01T14:00:00Z``."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at))
