"""Sockets of a session, with the kernel's help and without."""

import json
import random
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain
from typing import Any

import pytest

from imaging.frisbee.packets import (
    BLOCK_PACKET_SIZE,
    BLOCK_SIZE,
    Block,
    Request,
    decode,
    encode,
    pack_address,
)
from imaging.frisbee.sockets import (
    BLOCKS_PER_CALL,
    SessionAddress,
    SessionSocket,
    UnreachableHostError,
)
from imaging.frisbee.trains import Train
from tests.frisbee_session import address

LIMIT_S = 5.0
GROUP = "239.77.1.1"
SO_NO_CHECK = 11  # asm-generic/socket.h; not in the socket module
SERVER, CLIENT = address(254), address(1)


def block_packets(first: int, count: int, source: str = "127.77.0.254") -> memoryview:
    """Packets of blocks of chunk 0."""
    sender = pack_address(source)
    packets = [
        encode(Block(0, first + n, bytes([n % 256]) * BLOCK_SIZE), sender) for n in range(count)
    ]
    return memoryview(b"".join(packets))


def numbers_of(train: Train) -> list[int]:
    """The blocks of a train, each of which must be whole."""
    numbers = []
    for packet in train.packets():
        block = decode(packet, train.sender, train.port, train.port, 1)
        assert isinstance(block, Block)
        assert len(set(bytes(block.data))) == 1
        numbers.append(block.block)
    return numbers


@contextmanager
def pair(
    *, cutting: bool = True, joining: bool = True, group: str = GROUP, broadcast: bool = False
) -> Iterator[tuple[SessionSocket, SessionSocket]]:
    port = random.randint(30000, 49999)
    where = (group, port, broadcast)
    server = SessionSocket(SessionAddress(SERVER, *where), hear_oneself=False, offload=cutting)
    client = SessionSocket(SessionAddress(CLIENT, *where), hear_oneself=True, offload=joining)
    try:
        yield server, client
    finally:
        server.close()
        client.close()


def hear(client: SessionSocket, count: int) -> list[list[int]]:
    """The trains with the next so many blocks."""
    trains: list[list[int]] = []
    deadline = time.monotonic() + LIMIT_S
    while sum(map(len, trains)) < count:
        assert time.monotonic() < deadline, trains
        trains.extend(numbers_of(train) for train in client.receive(0.1))
    return trains


@pytest.mark.parametrize("joining", [True, False], ids=["joining", "singly"])
@pytest.mark.parametrize("cutting", [True, False], ids=["cutting", "singly"])
def test_blocks_arrive_whole_and_in_order(cutting: bool, joining: bool) -> None:
    with pair(cutting=cutting, joining=joining) as (server, client):
        server.send_blocks([block_packets(0, 5 * BLOCKS_PER_CALL, SERVER)])
        trains = hear(client, 5 * BLOCKS_PER_CALL)
    assert list(chain(*trains)) == list(range(5 * BLOCKS_PER_CALL))
    if not (cutting and joining):
        assert {len(train) for train in trains} == {1}


@pytest.mark.parametrize("cutting", [True, False])
def test_scattered_runs_go_together(cutting: bool) -> None:
    runs = [(3, 1), (9, 4), (99, 2), (200, 70), (300, 2)]
    with pair(cutting=cutting) as (server, client):
        server.send_blocks([block_packets(first, count, SERVER) for first, count in runs])
        trains = hear(client, 79)
    expected = chain(*(range(first, first + count) for first, count in runs))
    assert list(chain(*trains)) == list(expected)


def test_what_is_no_block_goes_between_them() -> None:
    with pair() as (server, client):
        server.send_blocks([block_packets(0, 2, SERVER)])
        server.send(encode(Request(0, 1, 2), pack_address(SERVER)))
        server.send(encode(Request(0, 2, 2), pack_address(SERVER)), CLIENT)
        heard: list[int] = []
        deadline = time.monotonic() + LIMIT_S
        while len(heard) < 4 and time.monotonic() < deadline:
            for train in client.receive(0.1):
                heard += map(len, train.packets())
    assert sorted(heard) == [28, 28, BLOCK_PACKET_SIZE, BLOCK_PACKET_SIZE]


def test_a_server_does_not_hear_itself_and_waits_as_long_as_it_is_told() -> None:
    with pair() as (server, _):
        server.send_blocks([block_packets(0, 2, SERVER)])
        started = time.monotonic()
        assert list(server.receive(0.05)) == []
        assert 0.05 <= time.monotonic() - started < 1


def test_a_membership_that_is_renewed_is_the_same_one() -> None:
    with pair() as (server, client):
        for link in (server, client):
            assert link._group is not None
            # as a switch may have done, or an interface that was gone
            request = socket.inet_aton(GROUP) + socket.inet_aton(link.address.own)
            link._group.setsockopt(socket.IPPROTO_IP, socket.IP_DROP_MEMBERSHIP, request)
            for _ in range(2):
                link.renew_membership()
        server.send_blocks([block_packets(0, 2, SERVER)])
        assert list(chain(*hear(client, 2))) == [0, 1]
        assert list(server.receive(0.05)) == []


def test_a_broadcasting_server_does_not_hear_itself() -> None:
    with pair(group="127.255.255.255", broadcast=True) as (server, client):
        server.send_blocks([block_packets(0, 2, SERVER)])
        assert list(chain(*hear(client, 2))) == [0, 1]
        assert list(server.receive(0.05)) == []
        client.send(encode(Request(0, 1, 2), pack_address(CLIENT)))
        assert [train.sender for train in server.receive(LIMIT_S)] == [pack_address(CLIENT)]


def test_a_host_that_cannot_be_sent_to_disturbs_nobody() -> None:
    """To all hosts of the network nobody may send unasked; nor does a route lead to class E."""
    with pair() as (server, client):
        for host in ("255.255.255.255", "240.0.0.1"):
            with pytest.raises(UnreachableHostError, match=f"{host} cannot be sent to: "):
                server.send(b"reply", host)
        server.send_blocks([block_packets(0, 4, SERVER)])
        assert list(chain(*hear(client, 4))) == [0, 1, 2, 3]


def test_a_socket_that_packets_are_not_cut_for_any_more() -> None:
    """Without checksums the kernel cuts nothing, as with some interfaces: found out at any time."""
    with pair() as (server, client):
        server.send_blocks([block_packets(0, 4, SERVER)])
        server._own.setsockopt(socket.SOL_SOCKET, SO_NO_CHECK, 1)
        server.send(encode(Request(0, 1, 2), pack_address(SERVER)), CLIENT)
        server.send_blocks([block_packets(4, 4, SERVER)])
        heard: list[int] = []
        deadline = time.monotonic() + LIMIT_S
        while len(heard) < 9 and time.monotonic() < deadline:
            for train in client.receive(0.1):
                heard += map(len, train.packets())
    assert sorted(heard) == [28] + 8 * [BLOCK_PACKET_SIZE]


def test_a_join_from_where_no_route_leads_ends_no_server() -> None:
    told = in_a_network_of_its_own("tests.unreachable_join", mtu=65536)
    assert told["replies"] == 1
    unreachable = [line for line in told["said"] if "cannot be sent to" in line]
    assert len(unreachable) == 1
    assert unreachable[0].startswith("192.0.2.1 cannot be sent to: ")


def test_a_kernel_that_does_not_cut_packets() -> None:
    """Found out by trying once, and nothing is lost by it."""
    told = in_a_network_of_its_own("tests.offload_refused", mtu=1000)
    assert told["refusal"] == "OSError"
    assert told["arrived"] == [*range(62), *range(100, 162)]


def in_a_network_of_its_own(module: str, mtu: int) -> dict[str, Any]:
    """What a script says, in JSON, that is run where there is loopback only."""
    unshare = [shutil.which("unshare") or "unshare", "--user", "--map-root-user", "--net"]
    loopback = ["ip", "link", "set", "lo", "mtu", str(mtu), "up"]
    try:
        subprocess.run([*unshare, *loopback], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("no network namespace to be had")
    script = f'{" ".join(loopback)} && exec "$0" -m {module}'
    done = subprocess.run(
        [*unshare, "sh", "-c", script, sys.executable],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert isinstance(told, dict)
    return told
