"""Small ELF files: a kernel module's own description, and nothing else."""

import struct


def kernel_module(info: bytes) -> bytes:
    """A relocatable file for x86-64 with one section besides that of names: ``.modinfo``."""
    names = b"\0.modinfo\0.shstrtab\0"
    head_size, section_size = 64, 64
    info_at = head_size
    names_at = info_at + len(info)
    sections_at = names_at + len(names)
    head = struct.pack(
        "<16sHHIQQQIHHHHHH",
        b"\x7fELF\x02\x01\x01" + b"\0" * 9,
        *(1, 62, 1, 0, 0, sections_at, 0, head_size, 0, 0, section_size, 3, 2),
    )

    def section(name: int, kind: int, offset: int, size: int) -> bytes:
        return struct.pack("<IIQQQQIIQQ", name, kind, 0, 0, offset, size, 0, 0, 1, 0)

    table = section(0, 0, 0, 0) + section(1, 1, info_at, len(info))
    return head + info + names + table + section(10, 3, names_at, len(names))
