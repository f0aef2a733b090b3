"""The files of a system, before they are an archive: by path, sorted, nothing of this host's.

Paths are relative to the root, and those of a merged /usr: what a package has in ``bin`` is in
``usr/bin``.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import PurePosixPath

MERGED = ("bin", "sbin", "lib", "lib64")
"""The directories of the root that are links into ``usr``."""


@dataclass(frozen=True, slots=True)
class File:
    """A regular file."""

    data: bytes
    executable: bool = False
    private: bool = False  # nobody but root may read it


@dataclass(frozen=True, slots=True)
class Link:
    """A symbolic link."""

    target: str


@dataclass(frozen=True, slots=True)
class Directory:
    """A directory."""

    private: bool = False


Entry = File | Link | Directory


def merged(path: str) -> str:
    """The path in a merged /usr. Raises ValueError for one that leaves the root."""
    parts = [part for part in path.split("/") if part not in ("", ".")]
    if not parts or ".." in parts:
        raise ValueError(f"{path!r} is no path inside the root")
    return "/".join(["usr", *parts] if parts[0] in MERGED else parts)


@dataclass(slots=True)
class Tree:
    """All entries of a system; a directory is there as soon as something is in it."""

    _entries: dict[str, Entry] = field(default_factory=dict)

    @classmethod
    def with_merged_usr(cls) -> "Tree":
        """An empty system: only the links from the root into /usr."""
        tree = cls()
        for name in MERGED:
            tree._entries[name] = Link(f"usr/{name}")
            tree.add(f"usr/{name}", Directory())
        return tree

    def add(self, path: str, entry: Entry) -> None:
        """Put an entry at a path, in place of what was there. Raises ValueError."""
        place = merged(path)
        for parent in PurePosixPath(place).parents:
            if str(parent) != "." and not isinstance(
                self._entries.setdefault(str(parent), Directory()), Directory
            ):
                raise ValueError(f"{path!r}: {parent} is no directory")
        self._entries[place] = entry

    def add_all(self, entries: dict[str, Entry]) -> None:
        """Put many entries."""
        for path, entry in entries.items():
            self.add(path, entry)

    def remove(self, path: str) -> None:
        """Take a file or a link away."""
        del self._entries[merged(path)]

    def get(self, path: str) -> Entry | None:
        """What is at a path; links are not followed."""
        return self._entries.get(merged(path))

    def files(self) -> Iterator[tuple[str, File]]:
        """The regular files, in the order of their paths."""
        for path, entry in self:
            if isinstance(entry, File):
                yield path, entry

    def __iter__(self) -> Iterator[tuple[str, Entry]]:
        """All entries in the order of their paths: a directory comes before what is in it."""
        # by parts: "a/b" must not come behind "a-b/c", or its directory would
        yield from sorted(self._entries.items(), key=lambda item: item[0].split("/"))
