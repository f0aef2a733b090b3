"""The archive that a kernel unpacks as its first root: cpio's ``newc`` format.

Source: Documentation/driver-api/early-userspace/buffer-format.rst of Linux. Owner is root, all
times are 0 and names are sorted, so the same tree gives the same bytes.
"""

import stat

from imaging.ramdisk.tree import Directory, Entry, File, Link, Tree

MAGIC = b"070701"
TRAILER = "TRAILER!!!"
ALIGNMENT = 4  # bytes
CONSOLE = (5, 1)  # major and minor number of /dev/console, which the first process writes to


def archive(tree: Tree) -> bytes:
    """Write the tree as an archive, /dev/console included."""
    parts = []
    number = 0
    for number, (path, entry) in enumerate(tree, start=1):
        mode, data = _contents(entry)
        parts.append(_record(number, path, mode, data))
    if tree.get("dev") is None:
        parts.append(_record(number + 1, "dev", stat.S_IFDIR | 0o755, b""))
    parts.append(_record(number + 2, "dev/console", stat.S_IFCHR | 0o600, b"", CONSOLE))
    parts.append(_record(0, TRAILER, 0, b""))
    return b"".join(parts)


def _contents(entry: Entry) -> tuple[int, bytes]:
    """The mode of an entry, and its data."""
    match entry:
        case File(data, executable, private):
            mode = 0o755 if executable else 0o644
            return stat.S_IFREG | (mode & 0o700 if private else mode), data
        case Link(target):
            return stat.S_IFLNK | 0o777, target.encode()
        case Directory(private):
            return stat.S_IFDIR | (0o700 if private else 0o755), b""


def _record(
    number: int, path: str, mode: int, data: bytes, device: tuple[int, int] = (0, 0)
) -> bytes:
    name = path.encode() + b"\0"
    links = 2 if stat.S_ISDIR(mode) else 1
    # inode, mode, uid, gid, links, time, size, device, device of a node, length of name, checksum
    fields = (number, mode, 0, 0, links, 0, len(data), 0, 0, *device, len(name), 0)
    head = MAGIC + b"".join(b"%08X" % field for field in fields)
    return _padded(head + name) + _padded(data)


def _padded(data: bytes) -> bytes:
    return data + b"\0" * (-len(data) % ALIGNMENT)
