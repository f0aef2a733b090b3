"""A disk with a small system, made of Debian's packages: GRUB, kernel, busybox and an ssh server.

It is made without mounting anything: GRUB's core is written into the gap behind the boot sector,
and mke2fs fills the file system.
"""

import struct
import subprocess
from collections.abc import Iterator
from pathlib import Path

from imaging.ramdisk.build import Recipe, compressed, ramdisk_tree
from imaging.ramdisk.cpio import archive
from imaging.ramdisk.kernel import Kernel, module_name
from imaging.ramdisk.packages import PackageDirectory
from imaging.ramdisk.tree import Directory, File, Link, Tree
from tests.lab.requirements import GRUB

SIZE = 192 << 20  # bytes of the disk
SECTOR = 512
FIRST_SECTOR = 2048  # of the partition
STAMP = "etc/laboratory"
TO_DISK = ("virtio_pci", "virtio_scsi", "sd_mod")
GRUB_MODULES = ("biosdisk", "part_msdos", "ext2", "linux")
GRUB_CONFIG = """\
set root=(hd0,msdos1)
linux /boot/vmlinuz console=ttyS0 quiet
initrd /boot/initrd.img
boot
"""
FIRST_PROGRAM = """\
#!/usr/bin/busybox sh
# find the disk, and go on there
busybox mount -t proc proc /proc
busybox mount -t sysfs sys /sys
busybox mount -t devtmpfs dev /dev
busybox modprobe -a $(busybox cat /etc/modules)
for attempt in $(busybox seq 100); do
    [ -b /dev/sda1 ] && break
    busybox usleep 100000
done
busybox mkdir -p /disk
busybox mount -t ext4 /dev/sda1 /disk
busybox umount /dev
busybox umount /sys
busybox umount /proc
exec busybox switch_root /disk /init
"""


def make_disk(disk: Path, packages: PackageDirectory, kernel_package: str, keys: str) -> None:
    """Write the disk; ``keys`` may log in as root."""
    recipe = Recipe(kernel=kernel_package, console="ssh", port=22, disk="/dev/sda", keys=keys)
    kernel, tree = ramdisk_tree(recipe, packages)
    tree.add("boot/vmlinuz", File(kernel.image))
    tree.add("boot/initrd.img", File(compressed(archive(first_root(kernel, tree)))))
    tree.add(STAMP, File(b"as it was made\n"))
    root = disk.with_suffix(".root")
    write_tree(tree, root)
    partition = disk.with_suffix(".partition")
    blocks = (SIZE - FIRST_SECTOR * SECTOR) // 1024
    # the C imagezip takes no 64bit
    options = ["-q", "-F", "-t", "ext4", "-O", "^64bit", "-b", "1024", "-d", str(root)]
    subprocess.run(
        ["mke2fs", *options, str(partition), str(blocks)], check=True, capture_output=True
    )
    with disk.open("wb") as stream:
        stream.write(boot_sector(blocks * 2))
        stream.write(_grub_core(disk.with_suffix(".core")))
        stream.seek(FIRST_SECTOR * SECTOR)
        stream.write(partition.read_bytes())
        stream.truncate(SIZE)


def first_root(kernel: Kernel, tree: Tree) -> Tree:
    """What the kernel needs until it has found the disk."""
    small = Tree.with_merged_usr()
    for path in ("usr/bin/busybox", "usr/bin/sh"):
        entry = tree.get(path)
        assert entry is not None
        small.add(path, entry)
    index = next(path for path in kernel.files if path.endswith("/modules.dep"))
    root = index.removesuffix("modules.dep")
    small.add(index, kernel.files[index])
    for module in modules_for(kernel.files[index], TO_DISK):
        small.add(root + module, kernel.files[root + module])
    small.add("etc/modules", File("\n".join(TO_DISK).encode()))
    small.add("init", File(FIRST_PROGRAM.encode(), executable=True))
    for path in ("dev", "proc", "sys"):
        small.add(path, Directory())
    return small


def modules_for(index: object, names: tuple[str, ...]) -> Iterator[str]:
    """The files of these modules and of those they need, as modules.dep tells."""
    assert isinstance(index, File)
    for line in index.data.decode().splitlines():
        module, _, needs = line.partition(":")
        if module_name(module) in names:
            yield from (module, *needs.split())


def write_tree(tree: Tree, place: Path) -> None:
    """Make files of a tree."""
    place.mkdir()
    for path, entry in tree:
        target = place / path
        match entry:
            case Directory(private):
                target.mkdir(mode=0o700 if private else 0o755)
            case Link(to):
                target.symlink_to(to)
            case File(data, executable, private):
                target.write_bytes(data)
                mode = 0o755 if executable else 0o644
                target.chmod(mode & 0o700 if private else mode)


def boot_sector(sectors: int) -> bytes:
    """GRUB's first sector, with a table of one partition of so many sectors."""
    code = bytearray((GRUB / "boot.img").read_bytes())
    struct.pack_into("<Q", code, 0x5C, 1)  # where the core is
    code[0x64] = 0xFF  # it is on the disk that the firmware has booted
    entry = struct.pack("<B3sB3sII", 0x80, b"\xfe\xff\xff", 0x83, b"\xfe\xff\xff", 2048, sectors)
    code[440:446] = b"LAB\0\0\0"
    code[446:510] = entry + b"\0" * 48
    code[510:512] = b"\x55\xaa"
    return bytes(code)


def _grub_core(file: Path) -> bytes:
    """What the first sector loads: all of GRUB that is needed, and what it is to do."""
    config = file.with_suffix(".cfg")
    config.write_text(GRUB_CONFIG)
    subprocess.run(
        [
            *("grub-mkimage", "-O", "i386-pc", "-p", "/boot/grub"),
            *("-c", str(config), "-o", str(file), *GRUB_MODULES),
        ],
        check=True,
    )
    core = bytearray(file.read_bytes())
    core += b"\0" * (-len(core) % SECTOR)
    assert len(core) < (FIRST_SECTOR - 1) * SECTOR
    # its first sector loads the others: from where, and how many
    struct.pack_into("<QH", core, SECTOR - 12, 2, len(core) // SECTOR - 1)
    return bytes(core)
