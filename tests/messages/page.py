"""The page of all messages, made from the catalogue: ``make messages`` writes it."""

from itertools import groupby

from tests.messages.catalogue import Entry, load, relocate, save
from tests.messages.sites import PARTS, ROOT

PAGE = ROOT / "docs/reference/messages.md"
ROOMS = {
    "cli": "Arguments, and what the commands say",
    "site": "Settings, inventory, selection, locks",
    "images": "Images",
    "leases": "Leases",
    "node": "Nodes: nextboot links, power cards, consoles, ssh",
    "multicast.py": "The frisbee server of a run",
    "operations": "Runs",
    "feedback": "Reports, log, history, transcripts",
    "monitor": "The monitor",
    "ramdisk": "The ramdisk, and who serves it",
    "testbed": "The virtual testbed",
    "frisbee": "The data plane: frisbee, frisbeed, imagezip, imageunzip",
}
HEAD = """\
# Messages

Every message of the commands, as a test has provoked it, with the names, numbers and paths of the
test; usage texts are left out. A message says what is wrong, of which node, file or setting, and in
brackets what to do. A node that failed is named with its step and its reason word besides; the
words are explained in [Reasons](reasons.md). The exit code is 2 when something was found
wrong before any node was touched, 1 otherwise.

This page is made from `tests/messages/catalogue.json`: `make messages` writes it anew.
"""


def room(entry: Entry) -> str:
    """The room of the code that an entry's message comes from."""
    return entry.file.partition("/")[0]


def rendered(entries: list[Entry]) -> str:
    """The page's text."""
    pieces = [HEAD]
    order = list(ROOMS)
    whole = [entry for entry in entries if entry.kind not in PARTS]
    whole.sort(key=lambda entry: (order.index(room(entry)), entry.message.lower()))
    for name, group in groupby(whole, key=room):
        lines = dict.fromkeys(entry.message.splitlines()[0] for entry in group)
        pieces.append(f"\n## {ROOMS[name]}\n\n```text\n" + "\n".join(lines) + "\n```\n")
    return "".join(pieces)


def current() -> str:
    """The page as it has to be."""
    return rendered(list(load().values()))


if __name__ == "__main__":
    save(relocate(load()))
    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text(current())
