"""The kernel of a ramdisk: its image, and the drivers of disks and network cards.

The package has hundreds of modules; those of ``DRIVERS`` and what they need are taken. What depmod
would write for them is made from what the modules say of themselves.
"""

import lzma
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from imaging.errors import ConfigurationError
from imaging.ramdisk.elf import ModuleInfo, module_info
from imaging.ramdisk.tree import Entry, File

DRIVERS = (
    "drivers/ata/",
    "drivers/block/virtio_blk",
    "drivers/message/fusion/",
    "drivers/net/ethernet/",
    "drivers/net/mdio/",
    "drivers/net/phy/",
    "drivers/net/virtio_net",
    "drivers/net/xen-netfront",
    "drivers/nvme/host/nvme.",
    "drivers/scsi/",
    "drivers/virtio/virtio_pci",
)
"""Where, below ``kernel``, the modules are that a node may need to reach its disk and us."""

LEFT_OUT = (
    "drivers/ata/pata_",
    "drivers/net/ethernet/broadcom/bnx2.",
    "drivers/net/ethernet/broadcom/bnx2x/",
    "drivers/net/ethernet/broadcom/cnic",
    "drivers/net/ethernet/brocade/",
    "drivers/net/ethernet/cavium/",
    "drivers/net/ethernet/chelsio/",
    "drivers/net/ethernet/dec/",
    "drivers/net/ethernet/emulex/",
    "drivers/net/ethernet/huawei/",
    "drivers/net/ethernet/mellanox/mlx4/",
    "drivers/net/ethernet/mellanox/mlxsw/",
    "drivers/net/ethernet/neterion/",
    "drivers/net/ethernet/netronome/",
    "drivers/net/ethernet/qlogic/",
    "drivers/net/ethernet/sfc/",
    "drivers/net/ethernet/stmicro/",
    "drivers/net/ethernet/sun/",
    "drivers/scsi/3w-",
    "drivers/scsi/a100u2w",
    "drivers/scsi/advansys",
    "drivers/scsi/aic7xxx/",
    "drivers/scsi/aic94xx/",
    "drivers/scsi/arcmsr/",
    "drivers/scsi/be2iscsi/",
    "drivers/scsi/bfa/",
    "drivers/scsi/bnx2fc/",
    "drivers/scsi/bnx2i/",
    "drivers/scsi/csiostor/",
    "drivers/scsi/cxgbi/",
    "drivers/scsi/dc395x",
    "drivers/scsi/device_handler/",
    "drivers/scsi/dmx3191d",
    "drivers/scsi/elx/",
    "drivers/scsi/fcoe/",
    "drivers/scsi/fnic/",
    "drivers/scsi/gdth",
    "drivers/scsi/initio",
    "drivers/scsi/ipr",
    "drivers/scsi/ips",
    "drivers/scsi/iscsi",
    "drivers/scsi/libfc/",
    "drivers/scsi/libiscsi",
    "drivers/scsi/lpfc/",
    "drivers/scsi/mvsas/",
    "drivers/scsi/pcmcia/",
    "drivers/scsi/pm8001/",
    "drivers/scsi/qedf/",
    "drivers/scsi/qedi/",
    "drivers/scsi/qla1280",
    "drivers/scsi/qla2xxx/",
    "drivers/scsi/qla4xxx/",
    "drivers/scsi/scsi_debug",
    "drivers/scsi/scsi_transport_fc",
    "drivers/scsi/scsi_transport_iscsi",
    "drivers/scsi/scsi_transport_srp",
    "drivers/scsi/st.",
    "drivers/scsi/wd719x",
)
"""Of those, what is no disk of the node's own, what does nothing without firmware files, which are
not in the ramdisk, and what is large and rare."""

ALWAYS = ("sd_mod", "virtio_blk", "virtio_net", "virtio_pci", "virtio_scsi")
"""What is loaded by name where it is there: nothing may ask for it in time."""


@dataclass(frozen=True, slots=True)
class Kernel:
    """A kernel, by its release (as 6.1.0-56-amd64): the image, and the files of its modules."""

    release: str
    image: bytes
    files: Mapping[str, Entry]


def module_name(path: str) -> str:
    """The name by which a module's file is known: ``virtio_net`` of ``.../virtio_net.ko.xz``."""
    return PurePosixPath(path).name.partition(".")[0].replace("-", "_")


def load_order(wanted: Iterable[str], needs: Callable[[str], Iterable[str] | None]) -> list[str]:
    """The wanted modules, and all that they need, each behind what it needs.

    ``needs`` tells the needs of one; None when it is not there, because it is built in.
    """
    met: set[str] = set()
    order: list[str] = []

    def visit(name: str) -> None:
        needed = None if name in met else needs(name)
        if needed is not None:
            met.add(name)
            for other in sorted(needed):
                visit(other)
            order.append(name)

    for name in sorted(wanted):
        visit(name)
    return order


@dataclass(slots=True)
class _Modules:
    """The modules of a package by name, read when they are asked for: there are thousands."""

    paths: dict[str, str]
    read: Callable[[str], bytes]
    contents: dict[str, bytes] = field(default_factory=dict)
    infos: dict[str, ModuleInfo] = field(default_factory=dict)

    def needs(self, name: str) -> tuple[str, ...] | None:
        if name not in self.paths:
            return None
        if name not in self.infos:
            path = self.paths[name]
            data = self.read(path)
            # better compressed with the whole archive than each by itself
            self.contents[name] = lzma.decompress(data) if path.endswith(".xz") else data
            self.infos[name] = module_info(path, self.contents[name])
        return tuple(need.replace("-", "_") for need in self.infos[name].needs)

    def place(self, name: str) -> str:
        return f"kernel/{self.paths[name].removesuffix('.xz')}"


def module_files(
    release: str, paths: Iterable[str], read: Callable[[str], bytes]
) -> dict[str, Entry]:
    """Choose among the package's modules, and index them as depmod does.

    ``paths`` are theirs below ``kernel``; ``read`` gives the bytes of one.
    """
    root = f"usr/lib/modules/{release}"
    modules = _Modules({module_name(path): path for path in sorted(paths)}, read)
    wanted = [name for name, path in modules.paths.items() if _is_driver(path)]
    chosen = sorted(load_order([*wanted, *ALWAYS], modules.needs))
    files: dict[str, Entry] = {}
    dependencies, aliases = [], []
    for name in chosen:
        files[f"{root}/{modules.place(name)}"] = File(modules.contents[name])
        # modprobe begins with the last one
        needs = load_order([name], modules.needs)[-2::-1]
        needed = " ".join(modules.place(need) for need in needs)
        dependencies.append(f"{modules.place(name)}: {needed}".rstrip())
        aliases += [f"alias {pattern} {name}" for pattern in modules.infos[name].aliases]
    files[f"{root}/modules.dep"] = File(_lines(dependencies))
    files[f"{root}/modules.alias"] = File(_lines(aliases))
    files["etc/modules"] = File(_lines(name for name in ALWAYS if name in chosen))
    return files


def kernel_of(entries: Mapping[str, Entry]) -> Kernel:
    """Find the kernel among the files of its package. Raises ConfigurationError."""
    images = [path for path in entries if path.startswith("boot/vmlinuz-")]
    image = entries[images[0]] if len(images) == 1 else None
    if not isinstance(image, File):
        raise ConfigurationError(
            "the kernel's package has no boot/vmlinuz-RELEASE",
            hint="it is not laid out as Debian's; see --kernel",
        )
    release = images[0].removeprefix("boot/vmlinuz-")
    prefix = f"usr/lib/modules/{release}/kernel/"
    modules = {
        path.removeprefix(prefix): entry.data
        for path, entry in entries.items()
        if path.startswith(prefix) and ".ko" in path and isinstance(entry, File)
    }
    return Kernel(release, image.data, module_files(release, modules, modules.__getitem__))


def _is_driver(path: str) -> bool:
    return path.startswith(DRIVERS) and not path.startswith(LEFT_OUT)


def _lines(lines: Iterable[str]) -> bytes:
    return "".join(f"{line}\n" for line in lines).encode()
