"""imaging-ramdisk: what is printed for a site, and what is found wrong with it."""

import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from imaging.ramdisk.pxelinux import DEFAULT_CONFIG, ramdisk_config
from tests.commands import Commands, processes_of, wait_for

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


def _endless_name(root: Path) -> None:
    text = ramdisk_config("imaging").replace("imaging/vmlinuz", "a" * 300)
    (root / "pxelinux.cfg/pxefrisbee").write_text(text)


def _outside(root: Path) -> None:
    (root / "ldlinux.c32").unlink()
    (root.parent / "elsewhere").write_bytes(b"x")
    (root / "ldlinux.c32").symlink_to("../elsewhere")


def _closed(root: Path) -> None:
    (root / "imaging").chmod(0o700)


def _closed_links(root: Path) -> None:
    (root / "pxelinux.cfg").chmod(0o2770)


@pytest.mark.parametrize(
    ("harm", "words"),
    [
        (lambda root: (root / "pxelinux.0").unlink(), "pxelinux.0 does not exist"),
        (_closed, "tftpboot/imaging cannot be entered by everybody"),
        (_closed_links, "tftpboot/pxelinux.cfg cannot be entered by everybody"),
        (lambda root: root.chmod(0o750), "tftpboot cannot be entered by everybody"),
        (lambda root: (root / "pxelinux.cfg/pxefrisbee").unlink(), "build writes it"),
        (_unreadable, "cannot be read by everybody"),
        (_dangling, "is a dangling link"),
        (_from_network, "LOCALBOOT is missing"),
        (_outside, "leads out of"),
        (_endless_name, "cannot be looked at: File name too long"),
    ],
)
def test_what_is_wrong_is_told(site: Commands, harm: Callable[[Path], None], words: str) -> None:
    harm(site.directory / "tftpboot")
    checked = site.run("imaging-ramdisk", "check")
    assert checked.returncode == 2
    (line,) = checked.stderr.splitlines()
    assert line.startswith("imaging-ramdisk: ")
    assert words in line


def test_a_path_may_begin_at_the_root_of_the_tftp_server(site: Commands) -> None:
    (site.directory / "tftpboot/pxelinux.cfg/pxefrisbee").write_text(
        "LABEL x\n  KERNEL /imaging/vmlinuz\n  APPEND initrd=/imaging/initrd.img\n"
    )
    checked = site.run("imaging-ramdisk", "check")
    assert (checked.returncode, checked.stderr) == (0, "")


def test_a_build_that_cannot_be_is_refused_at_once(site: Commands) -> None:
    (site.directory / "imaging.conf").write_text("[ramdisk]\nconsole = ssh\n")
    (site.directory / "empty.pub").touch()
    (site.directory / "text.pub").write_text("ssh-ed25519 AAAA me\n")
    for options, words in [
        (["--key", "text.pub"], "text.pub: its line 1 is no public key: "),
        (["--key", "missing.pub"], "missing.pub: No such file or directory"),
        (["--key", "empty.pub"], "empty.pub: holds no public key"),
        ([], "needs the public key that may log in"),
    ]:
        built = site.run("imaging-ramdisk", "build", "-o", "out", *options)
        assert built.returncode == 2
        assert words in built.stderr
        assert not (site.directory / "out").exists()


def test_a_key_for_a_console_that_asks_for_none_is_refused(site: Commands) -> None:
    built = site.run("imaging-ramdisk", "build", "-o", "out", "--key", "mine.pub")
    assert built.returncode == 2
    assert "--key is for an ssh console ([ramdisk] console = telnet)" in built.stderr


@pytest.mark.parametrize("place", ["file", "file/out"])
def test_an_output_that_cannot_be_is_told_before_anything_is_fetched(
    site: Commands, place: str
) -> None:
    (site.directory / "file").touch()
    built = site.run("imaging-ramdisk", "build", "-o", f"imaging.conf/{place}", "--packages", "p")
    assert built.returncode == 2
    (line,) = built.stderr.splitlines()
    assert line.endswith("imaging.conf is no directory (see --output)")
    assert not (site.directory / "p").exists()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_build_that_is_ended_says_so_and_leaves_nothing(
    site: Commands, number: signal.Signals
) -> None:
    tools = site.directory / "tools"
    tools.mkdir()
    (tools / "apt-cache").write_text("#!/bin/sh\ntouch asked\nexec sleep 1003.5\n")
    (tools / "apt-cache").chmod(0o755)
    environment = {**site.environment, "PATH": f"{tools}:{site.environment['PATH']}"}
    words = ["imaging-ramdisk", "build", "-o", "out", "--packages", "packages"]
    with subprocess.Popen(
        words, cwd=site.directory, env=environment, stderr=subprocess.PIPE, text=True
    ) as build:
        try:
            wait_for((site.directory / "asked").exists)
            build.send_signal(number)
            _, complaint = build.communicate(timeout=20)
        finally:
            build.kill()
    assert build.returncode == 1
    assert complaint == f"imaging-ramdisk: interrupted by {number.name}\n"
    assert not (site.directory / "out").exists()
    assert processes_of("sleep 1003.5") == []


def test_the_words_of_the_command_line(site: Commands) -> None:
    assert site.run("imaging-ramdisk").returncode == 2
    assert site.run("imaging-ramdisk", "--serve", "check").returncode == 2
