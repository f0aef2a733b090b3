"""The simulation of many clients: is it that of the product, and what does it show?"""

import random

import pytest

from tests.bench.loss import Losses, least_sent
from tests.bench.parts.simulation import simulate
from tests.bench.simulated_group import Site
from tests.simulated_network import SimulatedClient, SimulatedNetwork, SimulatedServer, Weather


def test_as_much_is_lost_as_it_should_be() -> None:
    losses = Losses(0.02, random.Random(3))
    lost = sum(losses.of(60).bit_count() for _ in range(10_000))
    assert lost / 600_000 == pytest.approx(0.02, rel=0.05)
    assert Losses(0.0, random.Random(3)).of(10**6) == 0


def test_each_place_of_a_run_is_lost_equally_often() -> None:
    losses = Losses(0.3, random.Random(4))
    counts = [0] * 5
    for _ in range(20_000):
        lost = losses.of(5)
        for place in range(5):
            counts[place] += lost >> place & 1
    assert [count / 20_000 for count in counts] == pytest.approx([0.3] * 5, abs=0.02)


def test_the_least_that_must_be_sent() -> None:
    assert least_sent(1000, 0.0) == 1.0
    assert least_sent(1, 0.01) == pytest.approx(1 / 0.99)
    chance = random.Random(5)
    tries = [max(_attempts(chance, 0.1) for _ in range(50)) for _ in range(4000)]
    assert least_sent(50, 0.1) == pytest.approx(sum(tries) / len(tries), rel=0.02)


def _attempts(chance: random.Random, loss: float) -> int:
    count = 1
    while chance.random() < loss:
        count += 1
    return count


def test_without_loss_every_block_is_sent_hardly_more_than_once() -> None:
    outcome = simulate(Site(30, chunks=8))
    assert outcome.done == 30
    assert outcome.sent < 1.05
    assert outcome.at < 2.0


@pytest.mark.parametrize("shared", [False, True])
def test_with_loss_hardly_more_is_sent_than_must_be(shared: bool) -> None:
    site = Site(30, chunks=8, loss=0.01, shared=shared)
    outcome = simulate(site)
    assert outcome.done == 30
    assert outcome.sent < 1.05 * (1 / 0.99 if shared else least_sent(30, 0.01)) + 0.02
    # each client would ask for each chunk, if none heard the others
    assert outcome.requests < 30 * 8 * 4


def test_the_same_seed_gives_the_same_session() -> None:
    site = Site(10, chunks=4, loss=0.01)
    first, again = simulate(site), simulate(site)
    assert (first.took, first.sent, first.requests) == (again.took, again.sent, again.requests)
    other = simulate(Site(10, chunks=4, loss=0.01, seed=2))
    assert other.took != first.took


def test_late_clients_get_everything_too() -> None:
    outcome = simulate(Site(20, chunks=8, bandwidth=2e8, boot_spread_s=1.0, loss=0.001))
    assert outcome.done == 20
    assert 1.0 < outcome.sent < 4.0


def test_a_simulation_that_takes_too_long_is_given_up() -> None:
    outcome = simulate(Site(5, chunks=64, bandwidth=1e7), limit_s=0.5)
    assert outcome.done == 0
    assert outcome.at <= 0.5


@pytest.mark.parametrize("loss", [0.0, 0.01])
def test_it_agrees_with_the_simulation_of_every_single_packet(loss: float) -> None:
    site = Site(6, chunks=8, loss=loss, seed=3)
    network = SimulatedNetwork(Weather(loss=loss), seed=3)
    server = SimulatedServer(network, bytes(8 << 20), site.bandwidth)
    clients = [
        SimulatedClient(network, f"10.0.0.{n + 1}", start_at=0.001 * n, write_s=0.004, seed=n)
        for n in range(site.clients)
    ]
    try:
        assert network.run(lambda: all(client.done for client in clients), 30.0)
    finally:
        server.close()
    took = max(client.finished_at or 0.0 for client in clients)
    sent = server.session.counters.blocks_sent / server.session.blocks
    outcome = simulate(site)
    assert outcome.sent == pytest.approx(sent, rel=0.02)
    # how the last lost blocks happen to fall is worth a few tenths of a second
    assert outcome.at == pytest.approx(took, abs=0.5)
