"""What the server makes of those who join and leave."""

from imaging.frisbee.packets import Join, JoinReply, Leave
from imaging.frisbee.server_session import GRACE_S, ServerOptions, ServerSession

ONE, OTHER = "10.0.0.1", "10.0.0.2"


def session(said: list[str]) -> ServerSession:
    return ServerSession(ServerOptions("image", idle_s=-1), 1 << 20, said.append, now=0.0)


def is_over(server: ServerSession) -> bool:
    """Whether it ends when nothing more happens."""
    return [server.ending(now) for now in (1.0, 1.0 + GRACE_S)][-1] is not None


def test_a_client_that_died_is_replaced_by_the_next_one_of_its_host() -> None:
    said: list[str] = []
    server = session(said)
    for client_id in (7, 8):
        assert server.take(Join(client_id), ONE) == JoinReply(1024)
    assert said[1] == "10.0.0.1 rejoins with different cid, ocid=7"
    assert said[2].endswith("1 active clients.")
    assert not is_over(server)
    server.take(Leave(8, 1), ONE)
    assert is_over(server)
    assert (server.counters.joins, server.counters.leaves) == (2, 1)


def test_a_client_that_joins_twice_is_one() -> None:
    said: list[str] = []
    server = session(said)
    for _ in range(2):
        assert server.take(Join(7), ONE) == JoinReply(1024)
    assert len(said) == 1
    server.take(Leave(7, 1), ONE)
    assert is_over(server)


def test_an_id_that_two_hosts_have_is_told_and_stays_with_the_first() -> None:
    said: list[str] = []
    server = session(said)
    assert server.take(Join(7), ONE) == server.take(Join(7), OTHER) == JoinReply(1024)
    assert said[1:] == ["10.0.0.2 reuses active client id"]
    server.take(Join(8), OTHER)
    server.take(Leave(7, 1), ONE)
    assert not is_over(server)
    server.take(Leave(8, 1), OTHER)
    assert is_over(server)


def test_who_has_left_may_come_again() -> None:
    said: list[str] = []
    server = session(said)
    for client_id in (7, 8):
        server.take(Join(client_id), ONE)
        server.take(Leave(client_id, 1), ONE)
    assert not any("rejoins" in line for line in said)
    assert is_over(server)
