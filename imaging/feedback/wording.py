"""How things are spoken of: sizes, ages, and foreign text that a terminal can bear."""

_UNITS = ("KiB", "MiB", "GiB", "TiB", "PiB", "EiB")


def printable(text: str) -> str:
    """The text with everything escaped that a terminal could obey: control characters, bytes that
    are no UTF-8, marks that turn the direction of writing, ends of lines.

    Names of files and texts of sidecars are written by others.
    """
    if text.isprintable():
        return text
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode("ascii")
        for char in text
    )


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
