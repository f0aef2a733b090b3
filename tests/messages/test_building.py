"""What building a ramdisk, and a virtual testbed, may meet; apt's tools are scripts here."""

from pathlib import Path

import pytest
import trio

from imaging.errors import ConfigurationError, ImagingError
from imaging.ramdisk import packages as packages_module
from imaging.ramdisk.build import Recipe, ramdisk_tree
from imaging.ramdisk.data_plane import _run_python, fetch_wheel
from imaging.ramdisk.elf import LIBRARIES, LOADER
from imaging.ramdisk.packages import LIST, PackageDirectory, PackageError, read_package
from imaging.ramdisk.serving import serving_problems
from imaging.site.schema import NextbootSettings
from imaging.testbed.demo import content_hash
from imaging.testbed.fault_file import FaultFile
from imaging.testbed.layout import Layout, _part, make_directory, make_files
from imaging.testbed.sample_image import make_image
from imaging.testbed.service import _open_leases
from tests.messages.recorder import heard

TELNET = Recipe("linux-image-amd64", "telnet", 23, "/dev/sda")


@pytest.fixture
def tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory of tools: there are no others."""
    found = tmp_path / "tools"
    found.mkdir()
    monkeypatch.setenv("PATH", str(found))
    return found


def script(directory: Path, name: str, text: str) -> None:
    file = directory / name
    file.write_text(f"#!/bin/sh\n{text}\n")
    file.chmod(0o755)


def test_recipes_that_lack_something(tmp_path: Path) -> None:
    packages = PackageDirectory(tmp_path)
    with pytest.raises(ConfigurationError, match="an ssh console needs the public key"):
        ramdisk_tree(Recipe("linux-image-amd64", "ssh", 22, "/dev/sda"), packages)
    bare = Recipe("linux-image-amd64", "telnet", 23, "/dev/sda", with_python=False)
    with pytest.raises(ConfigurationError, match="the frisbee tools must come from elsewhere"):
        ramdisk_tree(bare, packages)


def test_without_debian(tmp_path: Path, tools: Path) -> None:
    with pytest.raises(ConfigurationError, match="there is no apt-cache .this needs Debian"):
        PackageDirectory(tmp_path).resolve("linux-image-amd64", "linux-image-[0-9].*")
    with pytest.raises(ConfigurationError, match="there is no dpkg-deb .this needs Debian"):
        read_package(tmp_path / "x.deb", bool)


def test_apt_that_fails(tmp_path: Path, tools: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    packages = PackageDirectory(tmp_path / "packages")
    script(tools, "apt-cache", "echo 'E: No packages found' >&2; exit 100")
    with pytest.raises(PackageError, match="apt-cache depends has failed: E: No packages found"):
        packages.provide(["busybox-static"])
    script(tools, "apt-cache", "echo busybox-static")
    with pytest.raises(PackageError, match="busybox-static needs no package like x.*"):
        packages.resolve("busybox-static", "x.*")
    script(tools, "apt-get", "exit 0")
    with pytest.raises(PackageError, match="apt-get has left no package busybox-static in"):
        packages.provide(["busybox-static"])
    monkeypatch.setattr(packages_module, "PATIENCE_S", 0.05)
    script(tools, "apt-cache", "while :; do :; done")
    with pytest.raises(PackageError, match="apt-cache has not ended after 0.05 s"):
        packages.provide(["busybox-static"])


def test_a_list_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / LIST).mkdir()
    with pytest.raises(PackageError, match=rf"{LIST}: Is a directory"):
        PackageDirectory(tmp_path).provide(["busybox-static"])


def test_a_wheel_that_cannot_be_had(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    with pytest.raises(PackageError, match=r"pip cannot fetch isal for Python 3\.11: "):
        fetch_wheel(tmp_path, "3.11")
    with pytest.raises(
        PackageError, match=r"pip has not fetched isal for Python 3\.11 after 0\.01 s"
    ):
        fetch_wheel(tmp_path, "3.11", patience_s=0.01)


def test_a_python_of_the_ramdisk_that_does_not_run(tmp_path: Path) -> None:
    (tmp_path / LIBRARIES).mkdir(parents=True)
    script(tmp_path / LIBRARIES, LOADER, "echo 'no module named x' >&2; exit 1")
    with pytest.raises(ConfigurationError, match="the ramdisk's Python fails: no module named x"):
        _run_python(tmp_path, "3.11", "pass")


def test_nothing_to_be_served(tmp_path: Path) -> None:
    nextboot = NextbootSettings(directory=tmp_path / "gone/pxelinux.cfg", ramdisk="pxefrisbee")
    (problem,) = serving_problems(nextboot)
    heard(problem)
    assert "gone does not exist, which the TFTP server serves" in problem
    (tmp_path / "gone/pxelinux.cfg").mkdir(parents=True)
    (tmp_path / "gone/pxelinux.cfg/pxefrisbee").write_text("LABEL x\n")
    heard(*serving_problems(nextboot))
    assert any("pxefrisbee: names no KERNEL" in line for line in serving_problems(nextboot))


def test_disks_of_a_testbed(tmp_path: Path, tools: Path) -> None:
    disk = tmp_path / "disk.img"
    disk.write_bytes(bytes(512))
    with pytest.raises(ImagingError, match=r"disk\.img is shorter than 1024 bytes"):
        content_hash(disk, 1024)
    script(tools, "cp", "echo 'cp: no space' >&2; exit 1")
    with pytest.raises(ConfigurationError, match=r"disk\.img cannot be copied: cp: no space"):
        _part(disk)
    with pytest.raises(ImagingError, match="cannot make the image .*gone: No such file"):
        make_image(tmp_path / "gone", tmp_path / "image.ndz")


def test_places_where_no_testbed_can_be(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigurationError, match="cannot make .*file/bed: Not a directory"):
        make_directory(Layout(tmp_path / "file/bed"))
    with pytest.raises(ConfigurationError, match="cannot read .*: Is a directory"):
        FaultFile(tmp_path).read()


def test_sizes_that_a_testbed_cannot_have(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="0 nodes: must be 1 to 1000"):
        make_files(Layout(tmp_path), nodes=0, network=64, disk_size=512)


@pytest.mark.parametrize(
    ("text", "words"), [("{", "it holds no leases .remove it"), (None, "Is a directory")]
)
async def test_leases_that_a_testbed_cannot_serve(
    tmp_path: Path, text: str | None, words: str
) -> None:
    layout = Layout(tmp_path)
    if text is None:
        layout.leases_file.mkdir()
    else:
        layout.leases_file.write_text(text)
    async with trio.open_nursery() as nursery:
        with pytest.raises(ImagingError, match=f"cannot serve .*: {words}"):
            await _open_leases(nursery, layout, FaultFile(tmp_path / "faults.json"), 64, "token")
