"""What a laboratory needs of this machine."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

# what is needed, and the Debian package that has it
COMMANDS = {
    "apt-get": "apt",
    "dnsmasq": "dnsmasq-base",
    "dpkg-deb": "dpkg",
    "grub-mkimage": "grub-common",
    "ip": "iproute2",
    "mke2fs": "e2fsprogs",
    "qemu-system-x86_64": "qemu-system-x86",
    "setpriv": "util-linux",
    "unshare": "util-linux",
}
BARE_SERVER = {"mmdebstrap": "mmdebstrap", "chroot": "coreutils"}
PXELINUX = Path("/usr/lib/PXELINUX/pxelinux.0")
LDLINUX = Path("/usr/lib/syslinux/modules/bios/ldlinux.c32")
GRUB = Path("/usr/lib/grub/i386-pc")
NETWORK_ROM = Path("/usr/lib/ipxe/qemu/efi-virtio.rom")  # for a BIOS, too
FILES = {
    PXELINUX: "pxelinux",
    LDLINUX: "syslinux-common",
    GRUB / "boot.img": "grub-pc-bin",
    NETWORK_ROM: "ipxe-qemu",
}
# who is killed with whoever has started it
KILLED_ALONG = ["setpriv", "--pdeathsig", "KILL"]
# with the first process of this namespace, all others are gone, and what was mounted in it
OWN_PROCESSES = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]
OWN_NETWORK = ["unshare", "--net"]


def search_path() -> str:
    """Where commands are looked for: a user's path may lack the directories of root's."""
    return os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/sbin"])


def missing_packages(*, bare_server: bool = False) -> list[str]:
    """The packages that must be installed first."""
    path = search_path()
    commands = COMMANDS | BARE_SERVER if bare_server else COMMANDS
    missing = {package for name, package in commands.items() if not shutil.which(name, path=path)}
    missing |= {package for file, package in FILES.items() if not file.exists()}
    return sorted(missing)


def obstacles(*, bare_server: bool = False) -> Iterator[str]:
    """Why there can be no laboratory here, or none with a bare server; nothing when there can."""
    if os.geteuid() != 0:
        yield "only root makes namespaces"
        return
    missing = missing_packages(bare_server=bare_server)
    if missing:
        yield f"apt-get install {' '.join(missing)}"
        return
    probe = "mount -t tmpfs lab /mnt && ip link add lab type bridge && ip tuntap add tap mode tap"
    command = [*OWN_PROCESSES, *OWN_NETWORK, "sh", "-c", probe]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        yield f"no namespaces, bridges or tap devices: {done.stderr.strip()}"
