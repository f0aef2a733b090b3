"""Descriptors enough for a run: each node has a lock, a console and a power card for a while."""

import resource

from imaging.errors import ConfigurationError

OF_A_NODE = 4  # its lock, its console, a request to its card, and one to spare
OF_THE_RUN = 128  # files, pipes, the server, what Python and its libraries have open


def needed_descriptors(nodes: int) -> int:
    """How many descriptors a run on so many nodes may have open at the same time."""
    return OF_THE_RUN + OF_A_NODE * nodes


def allow_descriptors(nodes: int) -> None:
    """Raise this process's own limit, as far as it must be and may be; what it starts has it too.

    Raises ConfigurationError when the system does not allow as many.
    """
    needed = needed_descriptors(nodes)
    allowed = raise_descriptors(needed)
    if allowed < needed:
        raise ConfigurationError(
            f"{nodes} nodes need {needed} open files, and {allowed} are allowed",
            hint="raise the limit (ulimit -Hn, limits.conf, LimitNOFILE=), or take fewer nodes",
        )


def raise_descriptors(needed: int) -> int:
    """Raise this process's own limit to what is needed, or as far as it may be; gives how far."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= needed:
        return needed
    allowed = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
    return allowed
