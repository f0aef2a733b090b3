"""The node selection: what ``1-12 fit15-reboot18 ~4-6`` means. Pure.

A word is a comma list of items; an item is a number, a name, or a range of them, with an optional
step. ``~`` removes what came before it. The order of arguments matters in nothing else.
"""

import re
from collections.abc import Collection, Iterable, Sequence

import msgspec

from imaging.errors import ConfigurationError
from imaging.site.inventory import Inventory, Node, number_of, split_name

REMOVED = "~ removes what came before it"
_NUMBER = re.compile(r"[0-9]{1,9}")


class Selection(msgspec.Struct, frozen=True):
    """The nodes selected, in the inventory's order, and what selected them."""

    nodes: tuple[Node, ...]
    origin: str

    @property
    def names(self) -> tuple[str, ...]:
        """Their names."""
        return tuple(node.name for node in self.nodes)


def select(
    words: Sequence[str],
    inventory: Inventory,
    *,
    nodes_variable: str | None = None,
    all_variable: str | None = None,
    all_setting: str = "",
    use_all: bool = False,
    image_names: Collection[str] = (),
) -> Selection:
    """The nodes meant by the arguments, or else by ``$NODES``.

    ``use_all`` is ``-a``: it starts from ``$ALL_NODES``, else from the setting ``all_nodes``, else
    from the whole inventory. ``image_names`` serve to tell a forgotten ``-i``. Raises
    ConfigurationError for everything that is no node, and for an empty selection.
    """
    reader = _Reader(inventory, image_names)
    if use_all:
        start, origin = _all_nodes(reader, all_variable, all_setting)
        if not start:
            raise ConfigurationError(f"{origin} leaves no node", hint=REMOVED)
        if words and not words[0].startswith("~"):
            raise ConfigurationError(
                f"{words[0]!r}: -a selects all nodes already",
                hint="with -a, arguments can only remove nodes, as in -a ~4",
            )
        chosen = reader.fold(words, start)
    elif words:
        origin = "arguments"
        chosen = reader.fold(words, set())
    else:
        origin = "$NODES"
        words = (nodes_variable or "").split()
        if not words:
            what = "no node selected"
            if nodes_variable is not None:
                what += ": $NODES is empty"
            raise ConfigurationError(what, hint="give nodes as in 1-12 ~4-6, use -a, or set $NODES")
        chosen = reader.fold_named(words, origin)
    if not chosen:
        raise ConfigurationError(f"the selection {' '.join(words)!r} leaves no node", hint=REMOVED)
    return Selection(tuple(node for node in inventory if node.name in chosen), origin)


def _all_nodes(
    reader: "_Reader", all_variable: str | None, all_setting: str
) -> tuple[set[str], str]:
    for text, origin in ((all_variable, "$ALL_NODES"), (all_setting, "[inventory] all_nodes")):
        words = (text or "").split()
        if words:
            return reader.fold_named(words, origin), origin
    return {node.name for node in reader.inventory}, "the inventory"


class _Reader:
    """Reads words against an inventory."""

    def __init__(self, inventory: Inventory, image_names: Collection[str]) -> None:
        self.inventory = inventory
        self._image_names = image_names

    def fold_named(self, words: Sequence[str], origin: str) -> set[str]:
        """As ``fold``, for words that stand elsewhere than on the command line."""
        try:
            return self.fold(words, set())
        except ConfigurationError as error:
            raise ConfigurationError(f"in {origin}: {error.message}", hint=error.hint) from error

    def fold(self, words: Sequence[str], start: set[str]) -> set[str]:
        """The names of the selected nodes, word after word."""
        if words and words[0].startswith("~") and not start:
            raise ConfigurationError(
                f"{words[0]!r} removes from nothing", hint="use -a to start from all nodes"
            )
        chosen = set(start)
        for word in words:
            removes = word.startswith("~")
            names = self._word(word.removeprefix("~"), word)
            chosen = chosen - names if removes else chosen | names
        return chosen

    def _word(self, items: str, word: str) -> set[str]:
        names: set[str] = set()
        for item in items.split(","):
            if not item:
                raise ConfigurationError(f"{word!r}: a node is missing in the list")
            names |= {node.name for node in self._item(item, word)}
        return names

    def _item(self, item: str, word: str) -> list[Node]:
        """One node, or a range; an exact name wins over the reading as a range."""
        named = self.inventory.named(item)
        if named is not None:
            return [named]
        parts = item.split("-")
        if len(parts) == 1 or any(number_of(part) is None for part in parts[:2]):
            return [self._node(item, word)]
        if len(parts) > 3:
            raise ConfigurationError(
                f"{word!r}: a range is FIRST-LAST or FIRST-LAST-STEP, not {len(parts)} parts"
            )
        return self._range(parts[0], parts[1], parts[2] if parts[2:] else "1", word)

    def _range(self, first: str, last: str, step_text: str, word: str) -> list[Node]:
        if not _NUMBER.fullmatch(step_text) or int(step_text) == 0:
            raise ConfigurationError(f"{word!r}: the step {step_text!r} is not a positive number")
        ends = self._node(first, word), self._node(last, word)
        low, high = (node.number for node in ends)
        if low is None or high is None:
            raise ConfigurationError(f"{word!r}: the ends of a range must have numbers")
        if low > high:
            raise ConfigurationError(
                f"{word!r}: the range is reversed", hint=f"did you mean {last}-{first}?"
            )
        # two named ends of one family, as in fit01-fit12, mean that family and no other
        family = ends[0].prefix if ends[0].prefix == ends[1].prefix else None
        if _NUMBER.fullmatch(first) or _NUMBER.fullmatch(last):
            family = None
        step = int(step_text)
        found: list[Node] = []
        for node in self.inventory:
            number = node.number
            if number is None or not low <= number <= high or (number - low) % step:
                continue
            if family is None:
                found.append(self._only(number, str(number), word))
            elif node.prefix == family:
                found.append(node)
        return found

    def _node(self, item: str, word: str) -> Node:
        """The node that a number or a name stands for."""
        named = self.inventory.named(item)
        if named is not None:
            return named
        found = split_name(item)
        if found is not None:
            prefix, number = found
            if prefix == "":
                return self._only(number, item, word)
            node = self.inventory.prefixed(prefix, number)
            if node is not None:
                return node
        raise self._unknown(item, word)

    def _only(self, number: int, item: str, word: str) -> Node:
        nodes = self.inventory.numbered(number)
        if len(nodes) > 1:
            names = ", ".join(node.name for node in nodes)
            raise ConfigurationError(f"{word!r}: {item} could be {names}", hint="use its name")
        if not nodes:
            raise self._unknown(item, word)
        return nodes[0]

    def _unknown(self, item: str, word: str) -> ConfigurationError:
        shown = f"{item!r}" if item == word.removeprefix("~") else f"{item!r} (in {word!r})"
        for name in (item, word):  # an image's name may read like a list or a range
            if name in self._image_names or name.removesuffix(".ndz") in self._image_names:
                return ConfigurationError(f"{name!r} is not a node. Did you mean -i {name}?")
        names = [name for node in self.inventory for name in node.hostnames]
        import difflib  # only for who has mistyped

        near = difflib.get_close_matches(item, names, n=1, cutoff=0.75)
        numbers = [node.number for node in self.inventory if node.number is not None]
        if near:
            hint: str | None = f"did you mean {near[0]}?"
        elif numbers:
            hint = f"nodes are numbered from {min(numbers)} to {max(numbers)}"
        else:
            hint = None
        return ConfigurationError(f"{shown} is not a node", hint=hint)


def format_selection(nodes: Sequence[Node]) -> str:
    """A selection as a short spec: consecutive numbers of one prefix become ``fit01-fit12``.

    Reading the result gives the same nodes again.
    """
    return format_names([node.name for node in nodes])


def format_names(names: Iterable[str]) -> str:
    """The same for the names of nodes, whatever knows them."""
    numbered = [(number_of(name), name) for name in names]
    ordered = sorted(numbered, key=lambda pair: (pair[0] is None, pair[0] or 0, pair[1]))
    runs: list[list[tuple[int | None, str]]] = []
    for pair in ordered:
        if runs and _follows(runs[-1][-1], pair):
            runs[-1].append(pair)
        else:
            runs.append([pair])
    pieces = []
    for run in runs:
        if len(run) > 2:
            pieces.append(f"{run[0][1]}-{run[-1][1]}")
        else:
            pieces.extend(name for _, name in run)
    return " ".join(pieces)


def _follows(left: tuple[int | None, str], right: tuple[int | None, str]) -> bool:
    (before, first), (number, second) = left, right
    if before is None or number is None or number != before + 1:
        return False
    if "-" in first + second:
        return False  # would not read as a range
    return first.rstrip("0123456789") == second.rstrip("0123456789")
