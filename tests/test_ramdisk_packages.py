"""Debian packages: what they need, and what is in them."""

import hashlib
import io
import lzma
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imaging.ramdisk.packages import (
    Archive,
    PackageDirectory,
    PackageError,
    dependencies,
    fetch_packages,
    parse_archives,
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


@needs_dpkg
def test_another_name_of_a_file_that_is_not_wanted_has_its_contents(tmp_path: Path) -> None:
    file = package(tmp_path)
    names = [member.name for member in members_of(file) if member.islnk()]
    assert len(names) == 1
    (name,) = names
    wanted = f"usr/{name.removeprefix('./')}"
    found = read_package(file, lambda path: path == wanted)
    assert found == {wanted: File(b"program", executable=True)}


def members_of(file: Path) -> list[tarfile.TarInfo]:
    command = ["dpkg-deb", "--fsys-tarfile", str(file)]
    done = subprocess.run(command, check=True, capture_output=True)
    with tarfile.open(fileobj=io.BytesIO(done.stdout)) as members:
        return members.getmembers()


def archive_with(name: str, place: Path, member: str, data: bytes) -> Path:
    """A package whose files are in an archive that dpkg-deb would not make."""
    file = package(place, name)
    (place / member).write_bytes(data)
    for words in (["d", str(file), "data.tar.xz"], ["q", str(file), str(place / member)]):
        subprocess.run(["ar", *words], check=True, capture_output=True)
    return file


@needs_dpkg
@pytest.mark.skipif(shutil.which("ar") is None, reason="the package is made with ar")
def test_a_link_to_what_is_not_there_is_an_error(tmp_path: Path) -> None:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as members:
        link = tarfile.TarInfo("./bin/link")
        link.type, link.linkname = tarfile.LNKTYPE, "./bin/gone"
        members.addfile(link)
    file = archive_with("links_1_amd64.deb", tmp_path, "data.tar", packed.getvalue())
    with pytest.raises(PackageError, match="usr/bin/link is a link to usr/bin/gone, which is not"):
        read_package(file, bool)


@needs_dpkg
@pytest.mark.skipif(shutil.which("ar") is None, reason="the package is made with ar")
def test_what_dpkg_finds_broken_at_the_end_is_an_error(tmp_path: Path) -> None:
    """A checksum that is wrong comes behind all that it is about."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as members:
        members.addfile(tarfile.TarInfo("./bin/program"))
    packed.write(bytes(1 << 20))  # what dpkg-deb has not yet passed on, when it finds out
    data = bytearray(lzma.compress(packed.getvalue(), check=lzma.CHECK_CRC64))
    index = int.from_bytes(data[-8:-4], "little") + 1  # words of 4 bytes, before the footer of 12
    data[-12 - 4 * index - 1] ^= 1  # the last byte of the checksum
    file = archive_with("broken_1_amd64.deb", tmp_path, "data.tar.xz", bytes(data))
    with pytest.raises(PackageError, match="is no package that can be read: .*decompress"):
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


@pytest.mark.parametrize(
    "text",
    ["{", "[]", '{"a": 5}', '{"a": []}', '{"a": [3]}', '{"a": ["../x_1.deb"]}', "\xff", "[" * 9999],
)
def test_a_broken_list_is_told(tmp_path: Path, text: str) -> None:
    (tmp_path / "selection.json").write_text(text)
    with pytest.raises(PackageError, match=r"selection\.json"):
        PackageDirectory(tmp_path).provide(["busybox-static"])
    with pytest.raises(PackageError, match=r"selection\.json"):
        PackageDirectory(tmp_path).resolve("a", "b.*")


URIS = """\
'http://deb.example/a_1.0-2%2bb2_amd64.deb' a_1.0-2+b2_amd64.deb 20044 SHA256:{0}
'http://deb.example/b.deb' b_1%3a2_amd64.deb 5 SHA512:AB
'http://deb.example/c.deb' ../c_1_amd64.deb 5 SHA256:ab
'http://deb.example/d.deb' d_1_amd64.deb 5 MD5Sum:ab
Get:1 something
"""


def test_apts_list_of_archives_is_read() -> None:
    assert parse_archives(URIS.format("0a")) == {
        "a": Archive("a_1.0-2+b2_amd64.deb", "sha256", "0a"),
        "b": Archive("b_1%3a2_amd64.deb", "sha512", "ab"),
    }


@given(st.text(max_size=200))
def test_any_list_of_archives_can_be_read(text: str) -> None:
    for archive in parse_archives(text).values():
        assert "/" not in archive.file


CONTENTS = b"the package"
CHECKSUM = hashlib.sha256(CONTENTS).hexdigest()
# as apt-get does: it lists, or it writes into the directory where it runs
APT_GET = f"""\
#!/bin/sh
case "$*" in
*--print-uris*) echo "'http://x/a' aa_1_amd64.deb 11 SHA256:{CHECKSUM}" ;;
*) printf 'the package' > aa_1_amd64.deb; echo "$LC_ALL" >> "$ASKED" ;;
esac
"""


@pytest.fixture
def asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What apt-get was asked to fetch: a script that has this one package."""
    tools = tmp_path / "tools"
    tools.mkdir()
    (tools / "apt-get").write_text(APT_GET)
    (tools / "apt-get").chmod(0o755)
    monkeypatch.setenv("PATH", str(tools), prepend=":")
    monkeypatch.setenv("ASKED", str(tmp_path / "asked"))
    monkeypatch.setenv("LC_ALL", "fr_FR.UTF-8")
    return tmp_path / "asked"


def test_what_is_there_and_whole_is_not_fetched_again(tmp_path: Path, asked: Path) -> None:
    kept = tmp_path / "kept"
    kept.mkdir()
    expected = {"aa": kept / "aa_1_amd64.deb"}
    for _ in range(2):
        assert fetch_packages(["aa"], kept) == expected
        assert asked.read_text() == "C\n"  # what it says is read
    (kept / "aa_1_amd64.deb").write_bytes(b"the pa")  # as a full disk leaves it
    (kept / "aa_0_amd64.deb").write_bytes(b"older, and copied there later")
    assert fetch_packages(["aa"], kept) == expected
    assert asked.read_text() == "C\nC\n"
    assert (kept / "aa_1_amd64.deb").read_bytes() == CONTENTS
    assert sorted(file.name for file in kept.iterdir()) == ["aa_0_amd64.deb", "aa_1_amd64.deb"]


def test_what_apt_has_written_before_it_failed_is_not_kept(tmp_path: Path, asked: Path) -> None:
    (tmp_path / "tools/apt-get").write_text(
        "#!/bin/sh\nprintf half > aa_1_amd64.deb\necho 'E: No space left' >&2; exit 100\n"
    )
    (tmp_path / "kept").mkdir()
    with pytest.raises(PackageError, match="apt-get download has failed: E: No space left"):
        fetch_packages(["aa"], tmp_path / "kept")
    assert list((tmp_path / "kept").iterdir()) == []


@needs_dpkg
def test_apts_own_language_does_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LC_ALL", "C.UTF-8")
    monkeypatch.setenv("LANGUAGE", "fr")
    found = dependencies(["inetutils-telnetd"])["inetutils-telnetd"]
    assert "libc6" in found


def test_a_place_where_no_packages_can_be_is_told(tmp_path: Path, asked: Path) -> None:
    (tmp_path / "tools/apt-cache").write_text("#!/bin/sh\necho aa\necho '  Depends: aa-1'\n")
    (tmp_path / "tools/apt-cache").chmod(0o755)
    nowhere = PackageDirectory(Path("/proc/imaging"))
    with pytest.raises(PackageError, match=r"^/proc/imaging: No such file .*see --packages"):
        nowhere.provide(["aa"])
    with pytest.raises(PackageError, match=r"selection\.json: cannot be written: No such file"):
        nowhere.resolve("aa", "aa-.*")
