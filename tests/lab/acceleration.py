"""How QEMU runs the machines' processors: with KVM only where a real guest boots with it, else TCG.

That /dev/kvm can be opened proves nothing. On some hosts that are guests themselves KVM interprets
every instruction of a kernel, which takes longer than TCG does, and then dies.
"""

import os
import subprocess
import time
from pathlib import Path

TCG = "tcg,tb-size=96"
KVM = "kvm"
DEVICE = Path("/dev/kvm")
MAC = "52:54:00:42:01:00"
LIMIT_S = 6.0  # TCG itself needs nearly that; where KVM is worth having, it needs one
CONSOLE = b"console after"


def accelerator(ramdisk: Path, directory: Path) -> tuple[str, str]:
    """What to give to QEMU's ``-accel``, and why; ``ramdisk`` is what is booted to find out."""
    if not os.access(DEVICE, os.R_OK | os.W_OK):
        return TCG, f"TCG, as there is no {DEVICE} for us"
    seconds = seconds_to_console(KVM, ramdisk, directory)
    if seconds is None:
        return TCG, f"TCG, as no ramdisk boots with KVM within {LIMIT_S:g} s"
    return KVM, f"KVM, with which a ramdisk boots in {seconds:.1f} s"


def seconds_to_console(kind: str, ramdisk: Path, directory: Path) -> float | None:
    """From QEMU's start to the ramdisk's console; None when that does not come in time."""
    screen = directory / f"{kind[:3]}.screen"
    screen.unlink(missing_ok=True)
    words = [
        *("qemu-system-x86_64", "-nodefaults", "-no-user-config", "-display", "none"),
        *("-machine", "pc,graphics=off", "-accel", kind, "-m", "256", "-smp", "1"),
        *("-netdev", "user,id=net", "-device", f"virtio-net-pci,netdev=net,mac={MAC}"),
        # without a disk, the ramdisk would wait for one for five seconds
        *("-drive", "driver=null-co,size=64M,if=ide"),
        *("-serial", f"file:{screen}", "-kernel", str(ramdisk / "vmlinuz")),
        *("-initrd", str(ramdisk / "initrd.img")),
        *("-append", f"quiet console=ttyS0 BOOTIF=01-{MAC.replace(':', '-')}"),
    ]
    begin = time.monotonic()
    with subprocess.Popen(
        words, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as guest:
        try:
            while time.monotonic() < begin + LIMIT_S and guest.poll() is None:
                if screen.exists() and CONSOLE in screen.read_bytes():
                    return time.monotonic() - begin
                time.sleep(0.05)
            return None
        finally:
            guest.kill()
