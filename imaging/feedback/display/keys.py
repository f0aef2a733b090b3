"""Keys out of the bytes that a terminal sends; no I/O.

blessed reads keys only through a Terminal on a standard stream, and such a Terminal asks the
terminal questions when it is made and waits for the answers: seconds where there are none.
"""

import re
from enum import StrEnum


class Key(StrEnum):
    """What somebody has pressed."""

    UP = "up"
    DOWN = "down"
    PAGE_UP = "page up"
    PAGE_DOWN = "page down"
    HOME = "home"
    END = "end"
    ENTER = "enter"
    ESCAPE = "escape"
    FAILURES = "failures only"
    SORT = "sort"
    REVERSE = "reverse"
    QUIT = "quit"
    YES = "yes"
    NO = "no"


LETTERS = {
    "k": Key.UP,
    "j": Key.DOWN,
    "b": Key.PAGE_UP,
    " ": Key.PAGE_DOWN,
    "g": Key.HOME,
    "G": Key.END,
    "\r": Key.ENTER,
    "\n": Key.ENTER,
    "f": Key.FAILURES,
    "s": Key.SORT,
    "r": Key.REVERSE,
    "q": Key.QUIT,
    "y": Key.YES,
    "Y": Key.YES,
    "n": Key.NO,
    "N": Key.NO,
}
# the last letter of a sequence, or its number before the last letter ~
SEQUENCES = {
    "A": Key.UP,
    "B": Key.DOWN,
    "H": Key.HOME,
    "F": Key.END,
    "M": Key.ENTER,  # of the number pad
    "1~": Key.HOME,
    "7~": Key.HOME,
    "4~": Key.END,
    "8~": Key.END,
    "5~": Key.PAGE_UP,
    "6~": Key.PAGE_DOWN,
}
# a control sequence, as arrows and function keys send it; modifiers follow a semicolon
SEQUENCE = re.compile(r"\x1b(?:\[(?P<numbers>[0-9;?<=>]*)[ -/]*(?P<last>[@-~])|O(?P<single>[@-~]))")
INCOMPLETE = re.compile(r"\x1b(?:\[[0-9;?<=>]*[ -/]*|O)?\Z")


def decode(text: str, *, final: bool) -> tuple[list[Key], str]:
    """The keys in a text, and its rest: the beginning of a sequence whose end is to come.

    When nothing comes after it, ``final``, an escape is the key of that name. What is no key of
    ours is dropped.
    """
    keys: list[Key] = []
    while text:
        if not final and INCOMPLETE.match(text):
            return keys, text
        match = SEQUENCE.match(text)
        if match is None:
            key = Key.ESCAPE if text == "\x1b" else LETTERS.get(text[0])
            text = text[1:]
        else:
            number = (match["numbers"] or "").partition(";")[0]
            last = match["single"] or match["last"]
            key = SEQUENCES.get(f"{number}~" if last == "~" else last)
            text = text[match.end() :]
        if key is not None:
            keys.append(key)
    return keys, ""
