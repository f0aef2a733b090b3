"""What a half-typed word of a selection could become. Pure.

Of a comma list only the last item is completed, and of a range only its end; ``~`` stays.
"""

import re
from collections.abc import Iterable

from imaging.site.inventory import Inventory, Node

_DIGITS = re.compile(r"[0-9]{1,9}")
_LAST_DIGITS = re.compile(r"[0-9]+\Z")


def complete_selection(word: str, inventory: Inventory) -> list[str]:
    """The words that begin with this one and end with a whole node, in the inventory's order.

    Names are those of the nodes; those of their cards and data interfaces are offered where no
    node's name fits. To a word of digits, numbers are offered.
    """
    removes = "~" if word.startswith("~") else ""
    before, comma, item = word.removeprefix(removes).rpartition(",")
    fixed = removes + before + comma
    return [fixed + completed for completed in _complete_item(item, inventory)]


def _complete_item(item: str, inventory: Inventory) -> list[str]:
    """One item; a name that has a dash is not taken for the beginning of a range."""
    whole = _beginning_with(item, inventory.nodes)
    first, dash, last = item.partition("-")
    if whole or not dash:
        return whole
    start = _start_of_range(first, inventory)
    if start is None or start.number is None:
        return []
    after = [node for node in inventory if node.number is not None and node.number > start.number]
    if not _DIGITS.fullmatch(first):
        after = [node for node in after if node.prefix == start.prefix] or after
    ends = _numbers(last, after) if _DIGITS.fullmatch(first) else _beginning_with(last, after)
    return [f"{first}-{end}" for end in ends]


def _start_of_range(first: str, inventory: Inventory) -> Node | None:
    """The node that a range begins with, when it is written out."""
    if _DIGITS.fullmatch(first):
        nodes = inventory.numbered(int(first))
        return nodes[0] if len(nodes) == 1 else None
    return inventory.named(first)


def _beginning_with(text: str, nodes: Iterable[Node]) -> list[str]:
    """Numbers to digits; else names of nodes; else names of their other interfaces."""
    nodes = tuple(nodes)
    if _DIGITS.fullmatch(text):
        return _numbers(text, nodes)
    own = [node.name for node in nodes if node.name.startswith(text)]
    others = (name for node in nodes for name in node.hostnames if name.startswith(text))
    return own or list(others)


def _numbers(text: str, nodes: Iterable[Node]) -> list[str]:
    """The nodes' numbers that begin with these digits, as names have them when a zero leads."""
    found: dict[str, None] = {}
    for node in nodes:
        digits = _LAST_DIGITS.search(node.name)
        if node.number is None or digits is None:
            continue
        for spelling in (str(node.number), digits[0]):
            if spelling.startswith(text) and (text or spelling[0] != "0"):
                found[spelling] = None
    return list(found)
