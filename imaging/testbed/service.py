"""A whole virtual testbed: all machines and their cards, in one nursery."""

import gc
import logging
import os
import resource
import secrets
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial

import trio

from imaging._aio import open_aio
from imaging.errors import ImagingError
from imaging.site.inventory import Inventory, Node
from imaging.site.power_schema import PowerModel
from imaging.testbed.accidents import let_accidents_happen
from imaging.testbed.cmc import CmcServer
from imaging.testbed.fault_file import FaultFile
from imaging.testbed.layout import (
    LEASES_PORT,
    Layout,
    lease_url,
    make_files,
    network_of,
    server_address,
)
from imaging.testbed.lease_book import LeaseBook
from imaging.testbed.lease_service import LeaseService
from imaging.testbed.lock import locked
from imaging.testbed.machine import Machine, MachineOptions
from imaging.testbed.sample_image import make_image, write_disk
from imaging.testbed.shared_client import SharedClients
from imaging.testbed.simulation import Simulation
from imaging.testbed.ssh import SshHost

log = logging.getLogger(__name__)

COLLECTION_THRESHOLDS = (50_000, 10, 10)  # nearly all objects live as long as the testbed
PORTS = "does another program listen there?"
GUARD_PORT = 8079  # bound on the server's address: two testbeds never share a network
FIRST_NETWORK, NETWORKS = 64, 128
DISK_SIZE = 512 * 1024 * 1024
SAMPLE_SIZE = 24 * 1024 * 1024
SAMPLE_SEED = 2015


@dataclass(frozen=True, slots=True)
class TestbedOptions:
    """How a testbed is made; sizes in bytes. ``leases`` is whether it has a lease service.

    ``model`` is how the commands speak to its cards.
    """

    __test__ = False  # not a test class, whatever pytest thinks of its name

    nodes: int = 8
    disk_size: int = DISK_SIZE
    powered: bool = True
    leases: bool = False
    model: PowerModel = "cmc"
    machines: MachineOptions = field(default_factory=MachineOptions)


@contextmanager
def own_network(preferred: int | None) -> Iterator[int]:
    """A 127.x.0.0/16 network that no other testbed of this machine uses.

    A bound socket is the proof, held for as long as the block lasts. Raises ImagingError.
    """
    start = preferred or FIRST_NETWORK + os.getpid() % NETWORKS
    candidates = [FIRST_NETWORK + (start + n - FIRST_NETWORK) % NETWORKS for n in range(NETWORKS)]
    for network in candidates:
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as guard:
            try:
                guard.bind((server_address(network), GUARD_PORT))
                guard.listen(1)
            except OSError:
                continue
            yield network
            return
    raise ImagingError(
        f"no free network among {NETWORKS} for another testbed on this machine",
        hint="imaging-testbed down DIR ends one",
    )


def _preferred_network(layout: Layout) -> int | None:
    """The network of an earlier run, so that a restarted testbed keeps its addresses."""
    return network_of(layout.inventory()) if layout.inventory_file.exists() else None


def prepare(
    layout: Layout, options: TestbedOptions, network: int, lease_token: str | None
) -> Inventory:
    """Make the files and the sample image. Raises ImagingError."""
    make_files(
        layout,
        nodes=options.nodes,
        network=network,
        disk_size=options.disk_size,
        model=options.model,
        lease_token=lease_token,
        ports=options.machines.ports,
    )
    sample = layout.images / "sample.ndz"
    if not sample.exists():
        disk = layout.directory / ".sample-disk"
        try:
            write_disk(disk, min(SAMPLE_SIZE, options.disk_size), SAMPLE_SEED)
            make_image(disk, sample)
        finally:
            disk.unlink(missing_ok=True)
    return layout.inventory()


async def run_testbed(
    layout: Layout, options: TestbedOptions, on_ready: Callable[[Inventory], None]
) -> None:
    """Serve until SIGINT, SIGTERM or SIGHUP. Raises ImagingError when it cannot start."""
    _allow_open_files()
    gc.freeze()
    gc.set_threshold(*COLLECTION_THRESHOLDS)
    with locked(layout), own_network(_preferred_network(layout)) as network:
        lease_token = secrets.token_urlsafe(32) if options.leases else None
        inventory = prepare(layout, options, network, lease_token)
        async with open_aio(), trio.open_nursery() as nursery:
            await nursery.start(_stop_on_signal, nursery.cancel_scope)
            faults = FaultFile(layout.faults_file)
            ssh = SshHost(layout.ssh, faults)
            simulation: Simulation | None = None
            layout.simulated_file.unlink(missing_ok=True)
            if options.machines.simulated:
                layout.simulated_file.touch()
                clients = SharedClients(nursery, layout, options.disk_size)
                simulation = Simulation(layout, faults, clients)
            machines: dict[str, Machine] = {}
            await nursery.start(let_accidents_happen, layout.accidents, machines)
            try:
                for index, node in enumerate(inventory):
                    machine = Machine(
                        node,
                        layout,
                        options.machines,
                        ssh=ssh,
                        faults=faults,
                        index=index,
                        simulation=simulation,
                    )
                    machines[node.name] = machine
                    if options.powered:
                        machine.turn_on()
                    port = options.machines.ports.cmc
                    await _open_card(nursery, node, port, CmcServer(machine, faults))
                    nursery.start_soon(machine.run)
            except OSError as error:
                raise ImagingError(
                    f"cannot open the ports of {node.name}: {error.strerror}", hint=PORTS
                ) from error
            if lease_token is not None:
                await _open_leases(nursery, layout, faults, network, lease_token)
            on_ready(inventory)


def _allow_open_files() -> None:
    """Have as many descriptors as we may: each node has some listeners and connections."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


async def _open_leases(
    nursery: trio.Nursery, layout: Layout, faults: FaultFile, network: int, token: str
) -> None:
    try:
        book = LeaseBook(layout.leases_file)
        listeners = await trio.open_tcp_listeners(LEASES_PORT, host=server_address(network))
    except OSError as error:
        raise ImagingError(
            f"cannot serve {layout.leases_file}: {error.strerror}", hint="remove it"
        ) from error
    except (ValueError, TypeError) as error:
        raise ImagingError(
            f"cannot serve {layout.leases_file}: it holds no leases", hint="remove it"
        ) from error
    service = LeaseService(book, faults, lease_url(network), token)
    await nursery.start(partial(trio.serve_listeners, service.serve, listeners))


async def _open_card(nursery: trio.Nursery, node: Node, port: int, card: CmcServer) -> None:
    listeners = await trio.open_tcp_listeners(port, host=node.cmc.ip)
    await nursery.start(partial(trio.serve_listeners, card.serve, listeners))


async def _stop_on_signal(
    scope: trio.CancelScope, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
) -> None:
    with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM, signal.SIGHUP) as signals:
        task_status.started()
        async for number in signals:
            log.info("stopped by %s", signal.Signals(number).name)
            scope.cancel()
