"""Text as a terminal shows it: in cells, of which a wide character takes two, and a mark none."""

from functools import lru_cache

# terminals disagree about the width of what this asks for: a character shown as a picture
PICTURE_SELECTOR = "\ufe0f"


def visible(text: str) -> str:
    """The text in one line without anything that a terminal would obey: it is escaped."""
    if text.isprintable() and PICTURE_SELECTOR not in text:
        return text
    line = " / ".join(text.splitlines())
    return "".join(map(_visible_character, line)).replace(PICTURE_SELECTOR, "")


def _visible_character(character: str) -> str:
    if character.isprintable():
        return character
    return " " if character.isspace() else character.encode("unicode_escape").decode()


@lru_cache(maxsize=4096)
def _character_cells(character: str) -> int:
    from wcwidth import wcwidth  # 30 ms, for those who have such text

    return max(wcwidth(character), 0)


def cells(text: str) -> int:
    """How many cells a visible text takes."""
    return len(text) if text.isascii() else sum(map(_character_cells, text))


def clipped(text: str, width: int) -> str:
    """As much of a visible text as fits in ``width`` cells."""
    if text.isascii():
        return text[: max(width, 0)]
    taken = 0
    for index, character in enumerate(text):
        taken += _character_cells(character)
        if taken > width:
            return text[:index]
    return text


def fitted(text: str, width: int) -> str:
    """A visible text in exactly ``width`` cells: clipped, or with blanks after it."""
    text = clipped(text, width)
    return text + " " * (width - cells(text))


def wrapped(text: str, width: int) -> list[str]:
    """A visible text in lines of at most ``width`` cells, cut where they are full."""
    lines = []
    while text and width > 0:
        line = clipped(text, width) or text[0]
        lines.append(clipped(line, width))
        text = text[len(line) :]
    return lines
