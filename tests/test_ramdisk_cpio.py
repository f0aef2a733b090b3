"""The archive of a ramdisk, read back by another reader of the format."""

import stat
from collections.abc import Iterator

from hypothesis import given
from hypothesis import strategies as st

from imaging.ramdisk.cpio import archive
from imaging.ramdisk.tree import Directory, File, Link, Tree


def entries(data: bytes) -> Iterator[tuple[str, list[int], bytes]]:
    """Name, fields and data of each record, the trailer not included."""
    place = 0
    while True:
        assert data[place : place + 6] == b"070701"
        fields = [int(data[place + 6 + 8 * n : place + 14 + 8 * n], 16) for n in range(13)]
        size, name_size = fields[6], fields[11]
        name = data[place + 110 : place + 110 + name_size]
        assert name.endswith(b"\0")
        place += (110 + name_size + 3) // 4 * 4
        contents = data[place : place + size]
        place += (size + 3) // 4 * 4
        if name == b"TRAILER!!!\0":
            assert place == len(data)
            return
        yield name[:-1].decode(), fields, contents


def test_modes_links_and_devices() -> None:
    tree = Tree()
    tree.add("init", Link("bin/busybox"))
    tree.add("root", Directory(private=True))
    tree.add("root/key", File(b"secret", private=True))
    tree.add("etc/rcS", File(b"#!/bin/sh\n", executable=True))
    found = {name: (fields[1], data) for name, fields, data in entries(archive(tree))}
    assert found == {
        "etc": (stat.S_IFDIR | 0o755, b""),
        "etc/rcS": (stat.S_IFREG | 0o755, b"#!/bin/sh\n"),
        "init": (stat.S_IFLNK | 0o777, b"bin/busybox"),
        "root": (stat.S_IFDIR | 0o700, b""),
        "root/key": (stat.S_IFREG | 0o600, b"secret"),
        "dev": (stat.S_IFDIR | 0o755, b""),
        "dev/console": (stat.S_IFCHR | 0o600, b""),
    }


def test_nothing_of_this_host_is_in_it() -> None:
    tree = Tree()
    tree.add("file", File(b"x"))
    for _, (_, _, user, group, _, time, *_), _ in entries(archive(tree)):
        assert (user, group, time) == (0, 0, 0)


NAMES = st.text("abc-._é", min_size=1, max_size=5).filter(lambda name: name not in (".", ".."))


@given(st.dictionaries(NAMES, st.binary(max_size=9), max_size=8))
def test_every_file_is_read_back_whatever_the_order_it_was_added_in(
    files: dict[str, bytes],
) -> None:
    def packed(names: list[str]) -> bytes:
        tree = Tree()
        for name in names:
            tree.add(f"srv/{name}", File(files[name]))
        return archive(tree)

    data = packed(list(files))
    read = {name: data for name, fields, data in entries(data) if stat.S_ISREG(fields[1])}
    assert read == {f"srv/{name}": contents for name, contents in files.items()}
    assert packed(sorted(files, reverse=True)) == data
