"""Debian packages: what they need, and what is in them."""

import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imaging.ramdisk.packages import (
    PackageDirectory,
    PackageError,
    dependencies,
    parse_dependencies,
    read_package,
    with_libraries,
)
from imaging.ramdisk.tree import File, Link

needs_dpkg = pytest.mark.skipif(
    shutil.which("dpkg-deb") is None, reason="packages are made with dpkg-deb: this needs Debian"
)
ANSWER = """\
inetutils-telnetd
  Depends: libc6
 |PreDepends: libtinfo6
  Depends: <inetd>
    openbsd-inetd
  Depends: python3:any
  Conflicts: telnetd
libc6
  Depends: libgcc-s1
"""


def test_apts_answer_is_read() -> None:
    assert parse_dependencies(ANSWER) == {
        "inetutils-telnetd": ["libc6", "libtinfo6", "python3"],
        "libc6": ["libgcc-s1"],
    }


@given(st.text(st.sampled_from("ab1 |:<>\nDepends"), max_size=60))
def test_any_answer_can_be_read(text: str) -> None:
    for name, needed in parse_dependencies(text).items():
        assert " " not in name
        assert all(needed)


def test_libraries_come_along_and_nothing_else() -> None:
    graph = {
        "dropbear": ["libtom", "openssl-client", "libc6"],
        "libtom": ["zlib1g", "debconf"],
        "libc6": ["libgcc-s1"],
        "libgcc-s1": ["libc6"],
    }
    found = with_libraries(["dropbear"], lambda names: {n: graph.get(n, []) for n in names})
    assert found == ["dropbear", "libc6", "libgcc-s1", "libtom", "zlib1g"]


@pytest.mark.parametrize("name", ["-o", "--help", "a b", "../x", ""])
def test_a_name_that_could_be_something_else_never_reaches_apt(name: str) -> None:
    with pytest.raises(PackageError, match="is not the name of a Debian package"):
        dependencies([name])


def package(place: Path, name: str = "sample_1_amd64.deb") -> Path:
    root = place / "root"
    (root / "DEBIAN").mkdir(parents=True)
    (root / "DEBIAN/control").write_text(
        "Package: sample\nVersion: 1\nArchitecture: amd64\nMaintainer: n <n@example.org>\n"
        "Description: a sample\n"
    )
    (root / "bin").mkdir()
    (root / "bin/program").write_bytes(b"program")
    (root / "bin/program").chmod(0o755)
    (root / "bin/other").hardlink_to(root / "bin/program")
    (root / "lib").mkdir()
    (root / "lib/libx.so.1.2").write_bytes(b"library")
    (root / "lib/libx.so.1").symlink_to("libx.so.1.2")
    file = place / name
    command = ["dpkg-deb", "--root-owner-group", "--build", str(root), str(file)]
    subprocess.run(command, check=True, capture_output=True)
    return file


@needs_dpkg
def test_a_package_is_read(tmp_path: Path) -> None:
    file = package(tmp_path)
    assert read_package(file, bool) == {
        "usr/bin/other": File(b"program", executable=True),
        "usr/bin/program": File(b"program", executable=True),
        "usr/lib/libx.so.1.2": File(b"library"),
        "usr/lib/libx.so.1": Link("libx.so.1.2"),
    }
    assert list(read_package(file, lambda path: path.endswith("1.2"))) == ["usr/lib/libx.so.1.2"]


@needs_dpkg
@pytest.mark.parametrize("length", [0, 100, 600])
def test_a_broken_package_is_an_error(tmp_path: Path, length: int) -> None:
    file = tmp_path / "broken.deb"
    file.write_bytes(package(tmp_path).read_bytes()[:length])
    with pytest.raises(PackageError, match="is no package that can be read"):
        read_package(file, bool)


def test_what_an_earlier_build_has_listed_needs_no_apt(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "")
    (tmp_path / "selection.json").write_text(
        '{"a b": ["a_1_amd64.deb", "libc6_2_amd64.deb"], "python3-minimal": ["python3.11-minimal"]}'
    )
    for name in ("a_1_amd64.deb", "libc6_2_amd64.deb"):
        (tmp_path / name).write_bytes(b"")
    kept = PackageDirectory(tmp_path)
    assert kept.provide(["b", "a"]) == {
        "a": tmp_path / "a_1_amd64.deb",
        "libc6": tmp_path / "libc6_2_amd64.deb",
    }
    assert kept.resolve("python3-minimal", r"python3\.[0-9]+-minimal") == "python3.11-minimal"


@pytest.mark.parametrize("text", ["{", "[]"])
def test_a_broken_list_is_told(tmp_path: Path, text: str) -> None:
    (tmp_path / "selection.json").write_text(text)
    with pytest.raises(PackageError, match=r"selection\.json"):
        PackageDirectory(tmp_path).provide(["busybox-static"])
