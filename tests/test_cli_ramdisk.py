"""imaging-ramdisk: what is printed for a site, and what is found wrong with it."""

from collections.abc import Callable
from pathlib import Path

import pytest

from imaging.ramdisk.pxelinux import DEFAULT_CONFIG, ramdisk_config
from tests.commands import Commands

ROW = (
    '{{"cmc": {{"hostname": "reboot0{0}", "ip": "10.1.1.{0}", "mac": "02:00:00:00:00:0{0}"}},'
    ' "control": {{"hostname": "fit0{0}", "ip": "10.1.3.{0}", "mac": "52:54:00:00:00:0{0}"}}}}'
)


@pytest.fixture
def site(tmp_path: Path) -> Commands:
    """A host whose TFTP directory is as it should be."""
    root = tmp_path / "tftpboot"
    (root / "pxelinux.cfg").mkdir(parents=True)
    (root / "imaging").mkdir()
    for name in ("pxelinux.0", "ldlinux.c32", "imaging/vmlinuz", "imaging/initrd.img"):
        (root / name).write_bytes(b"x")
    (root / "pxelinux.cfg/default").write_text(DEFAULT_CONFIG)
    (root / "pxelinux.cfg/pxefrisbee").write_text(ramdisk_config("imaging"))
    (tmp_path / "inventory.json").write_text(f"[{ROW.format(1)}, {ROW.format(2)}]")
    (tmp_path / "imaging.conf").write_text(
        "[inventory]\nfile = inventory.json\n[nextboot]\ndirectory = tftpboot/pxelinux.cfg\n"
    )
    return Commands(tmp_path, tmp_path)


def test_the_configuration_of_dnsmasq_has_every_node(site: Commands) -> None:
    shown = site.run("imaging-ramdisk", "--serve")
    assert shown.returncode == 0, shown.stderr
    lines = shown.stdout.splitlines()
    assert "dhcp-host=52:54:00:00:00:01,10.1.3.1,fit01" in lines
    assert "dhcp-host=52:54:00:00:00:02,10.1.3.2,fit02" in lines
    assert f"tftp-root={site.directory / 'tftpboot'}" in lines
    assert "dhcp-boot=pxelinux.0" in lines


def test_a_site_as_it_should_be_is_fine(site: Commands) -> None:
    checked = site.run("imaging-ramdisk", "check")
    assert (checked.returncode, checked.stderr) == (0, "")
    assert checked.stdout.endswith("pxelinux, default and pxefrisbee, fine\n")


def _unreadable(root: Path) -> None:
    (root / "imaging/initrd.img").chmod(0o640)


def _dangling(root: Path) -> None:
    (root / "imaging/vmlinuz").unlink()
    (root / "imaging/vmlinuz").symlink_to("nowhere")


def _from_network(root: Path) -> None:
    (root / "pxelinux.cfg/default").write_text("LABEL a\n KERNEL imaging/vmlinuz\n")


def _outside(root: Path) -> None:
    (root / "ldlinux.c32").unlink()
    (root.parent / "elsewhere").write_bytes(b"x")
    (root / "ldlinux.c32").symlink_to("../elsewhere")


@pytest.mark.parametrize(
    ("harm", "words"),
    [
        (lambda root: (root / "pxelinux.0").unlink(), "pxelinux.0 does not exist"),
        (lambda root: (root / "pxelinux.cfg/pxefrisbee").unlink(), "build writes it"),
        (_unreadable, "cannot be read by everybody"),
        (_dangling, "is a dangling link"),
        (_from_network, "LOCALBOOT is missing"),
        (_outside, "leads out of"),
    ],
)
def test_what_is_wrong_is_told(site: Commands, harm: Callable[[Path], None], words: str) -> None:
    harm(site.directory / "tftpboot")
    checked = site.run("imaging-ramdisk", "check")
    assert checked.returncode == 2
    (line,) = checked.stderr.splitlines()
    assert line.startswith("imaging-ramdisk: ")
    assert words in line


def test_a_build_that_cannot_be_is_refused_at_once(site: Commands) -> None:
    (site.directory / "imaging.conf").write_text("[ramdisk]\nconsole = ssh\n")
    (site.directory / "empty.pub").touch()
    for options, words in [
        (["--key", "missing.pub"], "missing.pub: No such file or directory"),
        (["--key", "empty.pub"], "empty.pub: holds no public key"),
        ([], "needs the public key that may log in"),
    ]:
        built = site.run("imaging-ramdisk", "build", "-o", "out", *options)
        assert built.returncode == 2
        assert words in built.stderr
        assert not (site.directory / "out").exists()


def test_the_words_of_the_command_line(site: Commands) -> None:
    assert site.run("imaging-ramdisk").returncode == 2
    assert site.run("imaging-ramdisk", "--serve", "check").returncode == 2
