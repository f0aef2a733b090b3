"""Whose a node is: its lock, and the nextboot links that are nobody's any more."""

import time
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager

import trio

from imaging.errors import NodeError, Reason
from imaging.feedback.events import Emit, Noticed
from imaging.feedback.outcomes import Step
from imaging.guard import Guard
from imaging.jitter import jittered
from imaging.node.nextboot import NextbootDirectory, Occupant
from imaging.operations.steps import NodeStory
from imaging.site.inventory import Node
from imaging.site.locks import Lock, LockDirectory, LockTakenError
from imaging.site.schema import LocksSettings

POLL_S = 0.2
GLANCE_S = 0.3  # who only looks whether a lock is free holds it for a moment


def tell_of_guard(guard: Guard, emit: Emit) -> None:
    """Say so when nobody would clean up after this command, were it killed."""
    if not guard.is_there:
        what = "no guard process could be started: after kill -9 links and processes would stay"
        emit(Noticed(time.time(), None, what))


@asynccontextmanager
async def own_node(
    story: NodeStory, command: str, settings: LocksSettings, guard: Guard
) -> AsyncIterator[None]:
    """Have the node for ourselves as long as the block lasts; the step lock.

    Raises NodeError ``busy`` with who has it, and ``lock-failed``.
    """
    with story.step(Step.LOCK):
        lock = await _take(story, command, settings)
    with lock, guard.lock(lock.descriptor):
        yield


async def _take(story: NodeStory, command: str, settings: LocksSettings) -> Lock:
    locks = LockDirectory(settings.directory)
    deadline = trio.current_time() + max(settings.wait_s, GLANCE_S)
    while True:
        try:
            return locks.take(story.node, command)
        except LockTakenError as taken:
            if trio.current_time() > deadline:
                raise NodeError(
                    f"{story.node}: is busy: {taken.owner}",
                    reason=Reason.BUSY,
                    hint="--wait-lock SECONDS waits for it",
                ) from taken
            story.sight(f"busy: {taken.owner}")
        except OSError as error:
            raise NodeError(
                f"{story.node}: cannot be locked: {error.filename}: {error.strerror}",
                reason=Reason.LOCK_FAILED,
                hint="see [locks] directory",
            ) from error
        await trio.sleep(jittered(POLL_S))


def sweep_links(
    nextboot: NextbootDirectory, nodes: Iterable[Node], settings: LocksSettings, emit: Emit
) -> None:
    """Remove the links whose nodes nobody works on: their makers died with this host.

    A link that cannot be removed is told, and left to who needs its place.
    """
    locks = LockDirectory(settings.directory)
    names = {node.control.mac: node.name for node in nodes}
    for entry in nextboot.entries():
        name = names.get(entry.mac)
        if name is None or entry.occupant is not Occupant.OURS:
            continue
        try:
            with locks.take(name, "imaging, sweeping stale links"):
                nextboot.remove(entry.mac, name)
        except LockTakenError:
            continue  # a living command needs it
        except (OSError, NodeError) as error:
            why = f"{error.filename}: {error.strerror}" if isinstance(error, OSError) else error
            emit(Noticed(time.time(), None, f"the stale nextboot link of {name} stays: {why}"))
        else:
            emit(Noticed(time.time(), None, f"removed a stale nextboot link of {name}"))
