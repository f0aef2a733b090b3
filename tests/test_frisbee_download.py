"""The protocol's state, server and clients together, on a simulated network with seeds."""

import random
from itertools import pairwise

import pytest

from imaging.frisbee.download import Download, Pace
from imaging.frisbee.packets import BLOCKS_PER_CHUNK, PartialRequest, Request
from imaging.frisbee.server_session import CHUNK_BYTES
from tests.simulated_network import SimulatedClient, SimulatedNetwork, SimulatedServer, Weather

LIMIT_S = 120.0  # virtual
BANDWIDTH = 1e9

ALL_BLOCKS = (1 << BLOCKS_PER_CHUNK) - 1


def image(chunks: int, seed: int = 1) -> bytes:
    return random.Random(seed).randbytes(chunks * CHUNK_BYTES)


def play(
    weather: Weather,
    *,
    clients: int,
    chunks: int = 3,
    seed: int = 0,
    buffers: int = 64,
    write_s: float = 0.002,
    late_by: float = 0.0,
) -> tuple[SimulatedServer, list[SimulatedClient], float]:
    """A whole session; all clients must have the image in the end."""
    content = image(chunks)
    network = SimulatedNetwork(weather, seed)
    server = SimulatedServer(network, content, BANDWIDTH)
    players = [
        SimulatedClient(
            network,
            f"10.0.0.{number + 1}",
            start_at=late_by if number == clients - 1 else 0.0,
            buffers=buffers,
            write_s=write_s,
            seed=seed * 100 + number,
        )
        for number in range(clients)
    ]
    complete = network.run(lambda: all(client.done for client in players), LIMIT_S)
    server.close()
    assert complete, f"not done within {LIMIT_S} virtual seconds"
    for client in players:
        assert client.content() == content
    return server, players, max(client.finished_at or 0.0 for client in players)


def test_on_a_perfect_network_every_block_is_sent_once() -> None:
    server, _, _ = play(Weather(), clients=8)
    assert server.session.counters.blocks_sent == 3 * 1024
    assert server.session.counters.re_requests == 0


def test_a_late_client_costs_only_what_it_missed() -> None:
    server, _, _ = play(Weather(), clients=4, chunks=4, late_by=0.02)
    assert 4 * 1024 <= server.session.counters.blocks_sent <= 2 * 4 * 1024


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(
    "weather",
    [
        Weather(loss=0.01),
        Weather(loss=0.2),
        Weather(double=0.2),
        Weather(late=0.1),
        Weather(late=0.3, late_s=0.05),
        Weather(loss=0.05, double=0.05, late=0.05),
    ],
    ids=str,
)
def test_every_disk_is_identical_whatever_the_network_does(weather: Weather, seed: int) -> None:
    play(weather, clients=3, chunks=2, seed=seed, late_by=0.05)


def test_eight_clients_on_a_bad_network() -> None:
    weather = Weather(loss=0.02, double=0.02, late=0.02)
    server, _, took = play(weather, clients=8, chunks=3, seed=7, late_by=0.03)
    # each block is lost by somebody with about 15 %, and asked for again once by the group
    assert server.session.counters.blocks_sent < 2.5 * 3 * 1024
    assert took < 5


def test_packets_that_only_overtake_each_other_are_not_sent_again() -> None:
    server, _, _ = play(Weather(late=0.05, late_s=0.001), clients=4, chunks=3, seed=3)
    assert server.session.counters.blocks_sent <= 1.02 * 3 * 1024


def test_little_memory_and_a_slow_disk_do_not_hang() -> None:
    play(Weather(loss=0.01), clients=2, chunks=5, buffers=2, write_s=0.05, seed=5)


def test_slow_disks_do_not_make_the_server_send_everything_again() -> None:
    """Clients whose disks follow at nearly the same speed do not take turns at dropping chunks."""
    server, _, took = play(Weather(), clients=4, chunks=40, buffers=16, write_s=0.03, seed=9)
    assert server.session.counters.blocks_sent <= 1.1 * 40 * 1024
    assert took < 1.3 * 40 * 0.03


def test_no_buffer_is_promised_twice() -> None:
    download = Download(9 * 1024, 0.0, buffers=3, pace=Pace(read_ahead=5), ascending=True)
    assert len(download.requests(0.0)) == 3
    assert download.requests(0.01) == []


def test_the_last_chunk_may_be_short() -> None:
    download = Download(1030, 0.0, buffers=4, seed=1)
    assert (download.chunks, download.blocks_of(0), download.blocks_of(1)) == (2, 1024, 6)
    asked = [request for request in download.requests(0.0) if isinstance(request, Request)]
    assert {(request.chunk, request.first, request.count) for request in asked} == {
        (0, 0, 1024),
        (1, 0, 6),
    }
    # a block that the short chunk does not have is not taken
    assert download.take(1, 1 << 6, 0.0) == 0
    given = [download.take(1, 1 << block, 0.0) for block in range(6)]
    assert given == [1 << block for block in range(6)]
    assert download.is_complete(1)
    assert download.left == 1


def test_what_another_client_has_just_asked_for_is_not_asked_for_again() -> None:
    download = Download(4 * 1024, 0.0, buffers=8, ascending=True)
    download.overheard(Request(0, 0, 1024), 0.0)
    asked = download.requests(0.0)
    assert Request(0, 0, 1024) not in asked
    # one chunk is on its way, so one more keeps the server busy
    assert asked == [Request(1, 0, 1024)]


def test_lost_blocks_are_asked_for_when_the_server_has_gone_on() -> None:
    pace = Pace()
    download = Download(3 * 1024, 0.0, buffers=8, ascending=True, pace=pace)
    download.requests(0.0)
    download.take(0, ALL_BLOCKS & ~(1 << 5 | 1 << 700), 0.001)
    # the end of the chunk has been seen; packets may still be overtaking each other
    assert not any(isinstance(r, PartialRequest) for r in download.requests(0.001))
    download.take(1, 1, 0.002)
    asked = download.requests(0.002 + pace.gap_s)
    assert PartialRequest(0, 1, 1 << 5 | 1 << 700) in asked
    # and not again before the answer can have come
    later = 0.002 + 2 * pace.gap_s
    assert not any(isinstance(r, PartialRequest) for r in download.requests(later))


def test_what_is_lost_of_an_answer_is_asked_for_when_the_answer_ends() -> None:
    """Also when the server has nothing else to send, and comes back to the same chunk."""
    pace = Pace()
    download = Download(1024, 0.0, buffers=8, pace=pace)
    download.requests(0.0)
    download.take(0, ALL_BLOCKS & ~(1 << 5 | 1 << 700), 0.001)
    asked = 0.001 + pace.gap_s
    assert download.requests(asked) == [PartialRequest(0, 1, 1 << 5 | 1 << 700)]
    download.take(0, 1 << 700, asked + 0.001)
    assert download.requests(asked + 0.002) == []
    again = asked + 0.001 + pace.gap_s
    assert again - asked < pace.idle_floor_s
    assert download.requests(again) == [PartialRequest(0, 0, 1 << 5)]


def test_requests_that_nobody_answers_take_no_memory_for_ever() -> None:
    download = Download(9 * 1024, 0.0, buffers=2, ascending=True)
    first = download.requests(0.0)
    assert len(first) == 2
    assert download.requests(1.0) == first


def test_a_slow_disk_is_no_stalled_server() -> None:
    download = Download(2 * 1024, 0.0, buffers=2)
    download.take(0, ALL_BLOCKS, 1.0)
    assert download.is_writing
    download.release(70.0)
    assert not download.is_writing
    assert download.useful_at == 70.0


def test_silence_makes_a_client_ask_for_everything_less_and_less_often() -> None:
    pace = Pace()
    download = Download(2 * 1024, 0.0, buffers=8, pace=pace, seed=2)
    download.requests(0.0)
    times, now = [], 0.0
    while now < 10:
        now += 0.01
        if download.requests(now):
            times.append(now)
    waits = [round(after - before, 2) for before, after in pairwise(times)]
    assert waits == sorted(waits)
    assert waits[0] < 0.2
    assert waits[-1] == pytest.approx(pace.idle_limit_s, abs=0.02)


def test_no_more_chunks_are_held_than_there_is_memory_for() -> None:
    download = Download(8 * 1024, 0.0, buffers=2, seed=1)
    for chunk in range(3):
        download.take(chunk, 1, 0.0)
    assert download.counters.no_buffer == 1
    download.take(0, ALL_BLOCKS, 0.0)
    download.take(3, 1, 0.0)
    assert download.counters.no_buffer == 2, "a complete chunk is held until it is released"
    download.release(0.0)
    download.take(3, 1, 0.0)
    assert download.counters.no_buffer == 2


def test_a_chunk_is_given_once() -> None:
    download = Download(1024, 0.0, buffers=2)
    assert download.take(0, ALL_BLOCKS >> 1, 0.0) == ALL_BLOCKS >> 1
    assert not download.is_complete(0)
    assert download.take(0, ALL_BLOCKS, 0.0) == 1 << 1023
    assert download.counters.duplicates_in_progress == 1023
    assert download.is_complete(0)
    assert download.take(0, 1 << 3, 0.0) == 0
    assert download.counters.duplicates_done == 1
    assert download.requests(100.0) == []
