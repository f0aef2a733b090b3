"""Who is at the other end of a loopback connection."""

import os
import socket
import subprocess
import sys

import pytest

from imaging.testbed.peers import TABLE, Owner, ask_kernel, is_allowed, owner_in, table_form
from tests.commands import Commands

NOBODY = 65534


def test_the_kernel_s_form_of_an_address() -> None:
    # proc_pid_net(5): hexadecimal, in host order
    expected = "0100007F" if sys.byteorder == "little" else "7F000001"
    assert table_form(("127.0.0.1", 8080)) == f"{expected}:1F90"


def test_the_owner_of_a_real_connection() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        socket.create_connection(server.getsockname()) as client,
    ):
        own, peer = client.getpeername(), client.getsockname()
        inode = os.fstat(client.fileno()).st_ino
        expected = Owner(os.geteuid(), inode)
        assert owner_in(TABLE.read_text(), peer, own) == expected
        assert ask_kernel(peer, own) == expected
        assert is_allowed(peer, own)
        for nobody in (("127.0.0.1", 1), own):
            assert owner_in(TABLE.read_text(), nobody, own) is None
            assert ask_kernel(nobody, own) is None
            assert not is_allowed(nobody, own)


def test_who_has_gone_already_is_not_taken_for_root() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        with socket.create_connection(server.getsockname()) as client:
            own, peer = client.getpeername(), client.getsockname()
            accepted, _ = server.accept()
        with accepted:
            left = owner_in(TABLE.read_text(), peer, own)
            assert left == ask_kernel(peer, own)
            assert left is not None
            assert left.inode == 0
            assert not is_allowed(peer, own)


def test_a_table_of_rubbish_names_nobody() -> None:
    assert owner_in("", ("127.0.0.1", 1), ("127.0.0.1", 2)) is None
    assert owner_in("a b c\n0: x", ("127.0.0.1", 1), ("127.0.0.1", 2)) is None


@pytest.mark.e2e
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be another user")
def test_another_user_gets_nothing_from_a_node(testbed: Commands) -> None:
    testbed.boot_ramdisk("fit01")
    state = testbed.state("fit01")
    talk = (
        "import socket, sys\n"
        "with socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=5) as s:\n"
        "    s.sendall(b'GET /off HTTP/1.0\\r\\n\\r\\n')\n"
        "    try: print(len(s.recv(100)))\n"
        "    except ConnectionResetError: print(0)\n"
    )
    for kind, port in (("control", 2323), ("cmc", 8080)):
        address = testbed.interface("fit01", kind)["ip"]
        done = subprocess.run(
            ["/usr/bin/env", "python3", "-I", "-S", "-c", talk, address, str(port)],
            user=NOBODY,
            group=NOBODY,
            extra_groups=[],
            env={"PATH": "/usr/bin:/bin"},
            cwd="/",
            capture_output=True,
            text=True,
            timeout=20,
            check=False,
        )
        assert done.stdout == "0\n", done.stderr
    assert testbed.state("fit01") == state
    log = (testbed.directory / "testbed.log").read_text()
    assert "fit01 telnet: refused" in log
    assert "fit01 cmc: refused" in log
