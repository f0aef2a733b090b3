"""What this machine gives to work with large pieces of data: memory, and processors."""

import os

FREED_BYTES = 31 << 20
"""Just below the largest block that glibc learns from."""


def keep_freed_memory() -> None:
    """Make glibc use again what is freed, instead of asking the kernel for it for every piece.

    Freeing one large block raises the sizes from which it maps and unmaps memory (mallopt(3),
    M_MMAP_THRESHOLD); without it a sixth of the client's time goes into page faults, and a tenth
    of imagezip's. The block itself is never touched. Other allocators are not impressed.
    """
    bytes(FREED_BYTES)


def worker_threads(limit: int) -> int:
    """How many threads make use of this machine: one for each core that we may run on."""
    return max(1, min(len(os.sched_getaffinity(0)), limit))
