"""The tree of a system: paths of a merged /usr, directories before what is in them."""

import pytest

from imaging.ramdisk.tree import Directory, File, Link, Tree, merged


@pytest.mark.parametrize(
    ("path", "place"),
    [
        ("./bin/busybox", "usr/bin/busybox"),
        ("/lib64/ld.so", "usr/lib64/ld.so"),
        ("sbin", "usr/sbin"),
        ("usr/lib/x", "usr/lib/x"),
        ("etc//rcS", "etc/rcS"),
        ("library/x", "library/x"),
    ],
)
def test_a_path_is_that_of_a_merged_usr(path: str, place: str) -> None:
    assert merged(path) == place


@pytest.mark.parametrize("path", ["", "/", ".", "../etc", "usr/../../x"])
def test_a_path_outside_the_root_is_refused(path: str) -> None:
    with pytest.raises(ValueError, match="is no path inside the root"):
        merged(path)


def test_directories_come_by_themselves_and_first() -> None:
    tree = Tree()
    tree.add("a-b/file", File(b""))
    tree.add("a/b/file", File(b"x"))
    assert [path for path, _ in tree] == ["a", "a/b", "a/b/file", "a-b", "a-b/file"]
    assert tree.get("a/b") == Directory()


def test_what_comes_later_replaces_and_a_file_is_no_directory() -> None:
    tree = Tree.with_merged_usr()
    tree.add("bin/sh", Link("busybox"))
    tree.add("usr/bin/sh", Link("dash"))
    assert tree.get("/bin/sh") == Link("dash")
    with pytest.raises(ValueError, match="usr/bin/sh is no directory"):
        tree.add("bin/sh/file", File(b""))
    tree.remove("bin/sh")
    assert tree.get("bin/sh") is None
    assert list(tree.files()) == []
