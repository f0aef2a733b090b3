"""The files of a virtual testbed: a directory in which every command just works."""

import json
import os
import shutil
import stat
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from imaging.errors import ConfigurationError
from imaging.site.inventory import Inventory, Node, load_inventory
from imaging.site.power_schema import PowerModel
from imaging.testbed.node_commands import DISK_DEVICE, write_commands, write_servers
from imaging.testbed.redfish import PASSWORD, USER

LEASES_PORT = 8081
RAMDISK = "pxefrisbee"
NODE_LIMIT = 1000

CONFIG = """\
# Settings of this virtual testbed: commands started in this directory act on its nodes.

[inventory]
file = inventory.json

[images]
directory = images
default = sample

[nextboot]
directory = tftpboot/pxelinux.cfg
ramdisk = {ramdisk}

[power]
# each card speaks redfish as well as cmc; the inventory may have a model for each node
model = {model}
port = {cmc_port}
request_timeout_s = {request_timeout}
attempts = 2
retry_delay_s = 0.1

[power_redfish]
scheme = http
port = {cmc_port}
user = {bmc_user}
password = {bmc_password}

[boot]
poll_s = 0.05
reset_grace_s = 5
uptime_slack_s = 1
timeout_s = 30

[console]
port = {console_port}

[ramdisk]
disk = {disk}
client = frisbee
imagezip = imagezip -z1
netcat = nc

[multicast]
server = imaging-frisbeed
address = {server}
ports = 20000-29999
bandwidth_mibps = {bandwidth}

[load]
timeout_s = 120

[save]
timeout_s = 120
connect_timeout_s = 5
stall_timeout_s = 10

[ssh]
user = root
port = {ssh_port}
key = ssh/id_ed25519
attempt_timeout_s = 5
backoff_s = 0.1

[wait]
timeout_s = 60

[log]
file = imaging.log

[transcripts]
directory = transcripts

[locks]
directory = locks

[history]
file = history.sqlite

[leases]
# none; local: in that file; r2labapi: what imaging-testbed up --leases serves
backend = {backend}
# here root is a user like others
privileged =
file = leases.sqlite
url = {lease_url}
resource = testbed
token = {token}
request_timeout_s = 1
timeout_s = 5

[monitor]
cycle_s = 0.5
probe_timeout_s = 1
"""
BANDWIDTH_MIBPS = 400
NODES_PER_SECOND = 40  # one process is all cards: many nodes' are slower than a card of its own

PXELINUX_DEFAULT = "DEFAULT disk\nLABEL disk\n  LOCALBOOT 0\n"
PXELINUX_RAMDISK = "DEFAULT ramdisk\nLABEL ramdisk\n  KERNEL vmlinuz\n  APPEND initrd=initrd.img\n"


@dataclass(frozen=True, slots=True)
class Ports:
    """Where the nodes listen: above 1024, for everybody."""

    cmc: int = 8080
    console: int = 2323
    ssh: int = 2222


VIRTUAL_PORTS = Ports()
REAL_PORTS = Ports(cmc=80, console=23, ssh=22)


@dataclass(frozen=True, slots=True)
class Layout:
    """Where everything is, below the testbed's directory."""

    directory: Path

    @property
    def config(self) -> Path:
        """The settings of this directory."""
        return self.directory / "imaging.conf"

    @property
    def inventory_file(self) -> Path:
        """The inventory of the virtual nodes."""
        return self.directory / "inventory.json"

    @property
    def images(self) -> Path:
        """The images directory."""
        return self.directory / "images"

    @property
    def pxelinux(self) -> Path:
        """The directory of the nextboot links."""
        return self.directory / "tftpboot" / "pxelinux.cfg"

    @property
    def lock_file(self) -> Path:
        """Locked, and holding the process id, as long as the testbed runs."""
        return self.directory / "testbed.pid"

    @property
    def log_file(self) -> Path:
        """What the nodes have met: every request, connection, boot."""
        return self.directory / "testbed.log"

    @property
    def words_file(self) -> Path:
        """What a testbed in the background says itself."""
        return self.directory / "testbed.err"

    @property
    def ssh(self) -> Path:
        """Host key of the nodes, and the key that opens them."""
        return self.directory / "ssh"

    @property
    def faults_file(self) -> Path:
        """Which node misbehaves, and how; it may be changed at any time."""
        return self.directory / "faults.json"

    @property
    def simulated_file(self) -> Path:
        """There while the ramdisks of the running testbed have no processes."""
        return self.directory / ".simulated"

    @property
    def fault_servers(self) -> Path:
        """The directory of the frisbee servers that fail."""
        return self.directory / "faults"

    @property
    def leases_file(self) -> Path:
        """What the lease service keeps."""
        return self.directory / "leases.json"

    @property
    def accidents(self) -> Path:
        """The named pipe in which a node's command says that now is the moment of its fault."""
        return self.directory / ".accidents"

    def node(self, name: str) -> Path:
        """The directory of one node."""
        return self.directory / "nodes" / name

    def disk(self, name: str) -> Path:
        """The disk of one node."""
        return self.node(name) / "disk.img"

    def inventory(self) -> Inventory:
        """The nodes. Raises ConfigurationError."""
        return load_inventory(self.inventory_file)


def network_of(inventory: Inventory) -> int:
    """The second number of the testbed's 127.x.0.0/16 network."""
    return int(inventory.nodes[0].control.ip.split(".")[1])


def server_address(network: int) -> str:
    """The address of the side on which the commands run."""
    return f"127.{network}.254.254"


def lease_url(network: int) -> str:
    """Where the testbed's lease service is."""
    return f"http://{server_address(network)}:{LEASES_PORT}"


def make_directory(layout: Layout) -> None:
    """Make the testbed's directory, or see that it is ours alone. Raises ConfigurationError.

    Whoever else could write there could put files of his in the place of ours, and would have a
    shell through the nodes' commands.
    """
    directory = layout.directory
    try:
        directory.mkdir(parents=True, exist_ok=True)
        status = directory.stat()
    except OSError as error:
        raise ConfigurationError(
            f"cannot make {directory}: {error.strerror}",
            hint="a testbed needs a directory of its own",
        ) from error
    if status.st_uid != os.geteuid() or status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise ConfigurationError(
            f"{directory} is another user's, or others may write it",
            hint="a testbed needs a directory of its own",
        )


def make_files(
    layout: Layout,
    *,
    nodes: int,
    network: int,
    disk_size: int,
    model: PowerModel = "cmc",
    lease_token: str | None = None,
    ports: Ports = VIRTUAL_PORTS,
) -> None:
    """Make the directory's files; images and disks that are there are kept.

    ``disk_size`` is in bytes, a multiple of 512; ``model`` is how the commands speak to all cards;
    with a token, the settings have leases of the testbed's own service. Raises ConfigurationError.
    """
    if not 1 <= nodes <= NODE_LIMIT:
        raise ConfigurationError(f"{nodes} nodes: must be 1 to {NODE_LIMIT}")
    if disk_size <= 0 or disk_size % 512:
        raise ConfigurationError(f"a disk of {disk_size} bytes: must be a multiple of 512")
    _make_directories(layout)
    rows = [_row(number, nodes, network) for number in range(1, nodes + 1)]
    layout.inventory_file.write_text(json.dumps(rows, indent=1) + "\n")
    _write_config(layout, nodes, network, model, lease_token, ports)
    for row in rows:
        _make_node(layout, row["control"]["hostname"], disk_size)


def _make_directories(layout: Layout) -> None:
    """Those that are there from the beginning, and what is in them whatever the nodes are."""
    for folder in (
        layout.directory,
        layout.images,
        layout.pxelinux,
        layout.ssh,
        layout.fault_servers,
    ):
        folder.mkdir(parents=True, exist_ok=True)
    layout.ssh.chmod(0o700)
    write_servers(layout.fault_servers)
    (layout.pxelinux / "default").write_text(PXELINUX_DEFAULT)
    (layout.pxelinux / RAMDISK).write_text(PXELINUX_RAMDISK)


def _write_config(
    layout: Layout,
    nodes: int,
    network: int,
    model: PowerModel,
    lease_token: str | None,
    ports: Ports,
) -> None:
    layout.config.touch(0o600)  # it holds a token
    layout.config.write_text(
        CONFIG.format(
            ramdisk=RAMDISK,
            model=model,
            cmc_port=ports.cmc,
            bmc_user=USER,
            bmc_password=PASSWORD,
            console_port=ports.console,
            ssh_port=ports.ssh,
            disk=DISK_DEVICE,
            server=server_address(network),
            request_timeout=max(2, nodes // NODES_PER_SECOND),
            bandwidth=BANDWIDTH_MIBPS,
            backend="none" if lease_token is None else "r2labapi",
            lease_url=lease_url(network),
            token=lease_token or "",
        )
    )
    layout.config.chmod(0o600)


def _row(number: int, nodes: int, network: int) -> dict[str, dict[str, str]]:
    """One node of the inventory: fitNN, rebootNN and dataNN, with addresses of the network."""
    width = max(2, len(str(nodes)))
    high, low = divmod(number, 250)

    def interface(name: str, kind: int) -> dict[str, str]:
        return {
            "hostname": f"{name}{number:0{width}}",
            "ip": f"127.{network}.{kind * 10 + high}.{low + 1}",
            "mac": f"02:{network:02x}:00:{kind:02x}:{high:02x}:{low:02x}",
        }

    return {
        "cmc": interface("reboot", 1),
        "control": interface("fit", 3),
        "data": interface("data", 2),
    }


def _make_node(layout: Layout, name: str, disk_size: int) -> None:
    home = layout.node(name)
    commands = home / "bin"
    commands.mkdir(parents=True, exist_ok=True)
    disk = layout.disk(name)
    if not disk.exists():
        with disk.open("wb") as stream:
            stream.truncate(disk_size)
    elif disk.stat().st_nlink > 1:
        _part(disk)
    write_commands(commands, name)


def _part(disk: Path) -> None:
    """Give a node a disk of its own: simulated ones share a file. Raises ConfigurationError."""
    own = disk.with_name(f".{disk.name}.own")
    copy = ["cp", "--sparse=always", "--reflink=auto", "--", str(disk), str(own)]
    done = subprocess.run(copy, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        own.unlink(missing_ok=True)
        raise ConfigurationError(
            f"{disk} cannot be copied: {done.stderr.strip()}", hint="is there room for it?"
        )
    own.replace(disk)


def node_environment(layout: Layout, node: Node) -> dict[str, str]:
    """The environment of a shell in the ramdisk of one node."""
    home = layout.node(node.name)
    path = [home / "bin", Path(sys.executable).parent, "/usr/sbin", "/usr/bin", "/sbin", "/bin"]
    return {
        "PATH": os.pathsep.join(map(str, path)),
        "HOME": str(home),
        "NODE_DIRECTORY": str(home),
        "NODE_FAULTS": str(layout.faults_file),
        "NODE_ADDRESS": node.control.ip,
        "TERM": "vt100",
        "PS1": "# ",
        "LANG": "C.UTF-8",
    }


def find_shell(words: str) -> list[str]:
    """The shell of the ramdisks, an argument list. Raises ConfigurationError when missing."""
    argv = words.split()
    found = shutil.which(argv[0]) if argv else None
    if found is None:
        raise ConfigurationError(f"the shell {words!r} is not found", hint="install it")
    return [found, *argv[1:]]
