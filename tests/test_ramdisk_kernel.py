"""The kernel's modules: which are taken, and in which order they are loaded."""

import lzma

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imaging.errors import ConfigurationError
from imaging.ramdisk.elf import module_info
from imaging.ramdisk.kernel import kernel_of, load_order, module_files, module_name
from imaging.ramdisk.tree import Entry, File
from tests.elf_samples import kernel_module

ROOT = "usr/lib/modules/6.1"


def test_a_module_tells_its_needs_and_its_devices() -> None:
    data = kernel_module(b"license=GPL\0alias=pci:v1*\0depends=a,b-c\0alias=virtio:d1v*\0")
    info = module_info("x.ko", data)
    assert info.needs == ("a", "b-c")
    assert info.aliases == ("pci:v1*", "virtio:d1v*")


@pytest.mark.parametrize("data", [b"", b"\x7fELF", b"text", kernel_module(b"")[:80]])
def test_what_is_no_module_is_an_error(data: bytes) -> None:
    with pytest.raises(ConfigurationError, match=r"^x\.ko is no kernel module"):
        module_info("x.ko", data)


@given(st.dictionaries(st.integers(0, 9), st.sets(st.integers(0, 12), max_size=4), max_size=10))
def test_each_module_comes_behind_what_it_needs(graph: dict[int, set[int]]) -> None:
    # a number needs only larger ones: no cycles
    needs = {str(n): {str(m) for m in found if m > n} for n, found in graph.items()}
    order = load_order(needs, needs.get)
    assert sorted(order) == sorted(needs)
    for place, name in enumerate(order):
        assert needs[name] & needs.keys() <= set(order[:place])


def test_modules_that_need_each_other_are_no_endless_loop() -> None:
    assert sorted(load_order(["a"], {"a": ["b"], "b": ["a"]}.get)) == ["a", "b"]


def test_drivers_are_taken_with_what_they_need_and_indexed_as_by_depmod() -> None:
    modules = {
        "drivers/net/ethernet/intel/e1000.ko": kernel_module(b"alias=pci:v8086*\0depends=lib-x\0"),
        "lib/lib-x.ko.xz": lzma.compress(kernel_module(b"depends=deep\0")),
        "lib/deep.ko": kernel_module(b""),
        "drivers/net/ethernet/sfc/sfc.ko": kernel_module(b"alias=pci:v1924*\0"),
        "drivers/scsi/sd_mod.ko": kernel_module(b"alias=scsi:t-0x00*\0"),
        "sound/snd.ko": b"never read",
    }
    files = module_files("6.1", modules, modules.__getitem__)
    assert set(files) == {
        f"{ROOT}/kernel/drivers/net/ethernet/intel/e1000.ko",
        f"{ROOT}/kernel/lib/lib-x.ko",
        f"{ROOT}/kernel/lib/deep.ko",
        f"{ROOT}/kernel/drivers/scsi/sd_mod.ko",
        f"{ROOT}/modules.dep",
        f"{ROOT}/modules.alias",
        "etc/modules",
    }
    # what is loaded first comes last
    assert _lines(files[f"{ROOT}/modules.dep"]) == [
        "kernel/lib/deep.ko:",
        "kernel/drivers/net/ethernet/intel/e1000.ko: kernel/lib/lib-x.ko kernel/lib/deep.ko",
        "kernel/lib/lib-x.ko: kernel/lib/deep.ko",
        "kernel/drivers/scsi/sd_mod.ko:",
    ]
    assert _lines(files[f"{ROOT}/modules.alias"]) == [
        "alias pci:v8086* e1000",
        "alias scsi:t-0x00* sd_mod",
    ]
    assert _lines(files["etc/modules"]) == ["sd_mod"]


def _lines(entry: Entry) -> list[str]:
    assert isinstance(entry, File)
    return entry.data.decode().splitlines()


def test_the_kernel_is_found_in_its_package() -> None:
    module = "usr/lib/modules/6.1-a/kernel/drivers/scsi/sd_mod.ko"
    entries: dict[str, Entry] = {
        "boot/vmlinuz-6.1-a": File(b"kernel"),
        module: File(kernel_module(b"")),
    }
    kernel = kernel_of(entries)
    assert (kernel.release, kernel.image) == ("6.1-a", b"kernel")
    assert module in kernel.files
    with pytest.raises(ConfigurationError, match="no boot/vmlinuz"):
        kernel_of({})


def test_module_names() -> None:
    assert module_name("drivers/net/xen-netfront.ko.xz") == "xen_netfront"
