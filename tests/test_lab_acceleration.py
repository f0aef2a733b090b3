"""KVM is used only where a guest boots with it."""

import shutil
from pathlib import Path

import pytest

from tests.lab import acceleration
from tests.lab.acceleration import TCG, accelerator, seconds_to_console


def test_without_the_device_the_machines_are_emulated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(acceleration, "DEVICE", tmp_path / "kvm")
    assert accelerator(tmp_path, tmp_path) == (TCG, f"TCG, as there is no {tmp_path}/kvm for us")


@pytest.mark.skipif(shutil.which("qemu-system-x86_64") is None, reason="QEMU is not installed")
def test_a_guest_that_does_not_boot_is_none(tmp_path: Path) -> None:
    (tmp_path / "vmlinuz").write_bytes(b"no kernel")
    (tmp_path / "initrd.img").write_bytes(b"")
    assert seconds_to_console(TCG, tmp_path, tmp_path) is None
