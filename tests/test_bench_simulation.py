"""The simulation of many clients: is it that of the product, and what does it show?"""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imaging.frisbee.download import Download
from imaging.frisbee.packets import BLOCKS_PER_CHUNK, PartialRequest
from tests.bench.loss import Losses, least_sent
from tests.bench.parts.simulation import simulate
from tests.bench.run_download import RunDownload
from tests.bench.simulated_group import Site

SHORT = 40  # blocks of the last chunk
BLOCKS = 2 * BLOCKS_PER_CHUNK + SHORT
BUFFERS = 2

Deed = tuple[str, int, int, float]
DEEDS = st.lists(
    st.tuples(
        st.sampled_from(["blocks", "blocks", "overheard", "release"]),
        st.integers(0, 2),
        st.one_of(
            st.sampled_from([(1 << BLOCKS_PER_CHUNK) - 1, 1, 1 << (SHORT - 1)]),
            st.integers(1, (1 << BLOCKS_PER_CHUNK) - 1),
        ),
        st.sampled_from([0.0, 0.001, 0.006, 0.2, 1.5]),
    ),
    max_size=25,
)


def existing(chunk: int, bitmap: int) -> int:
    """The blocks of a bitmap that the chunk has; at least one."""
    return bitmap & ((1 << (SHORT if chunk == 2 else BLOCKS_PER_CHUNK)) - 1) or 1


@settings(max_examples=40, deadline=None)
@given(DEEDS)
def test_a_run_and_its_single_blocks_come_to_the_same(deeds: list[Deed]) -> None:
    single = Download(BLOCKS, 0.0, buffers=BUFFERS, seed=1)
    run = RunDownload(BLOCKS, 0.0, buffers=BUFFERS, seed=1)
    now, held = 0.0, 0
    for kind, chunk, bitmap, pause in deeds:
        now += pause
        if kind == "blocks":
            left = run.left
            wanted = existing(chunk, bitmap)
            run.take(chunk, wanted, now)
            for block in range(wanted.bit_length()):
                if wanted >> block & 1:
                    single.block(chunk, block, bytes(1024), now)
            held += left - run.left
        elif kind == "overheard":
            for download in (single, run):
                download.overheard(PartialRequest(chunk, 0, existing(chunk, bitmap)), now)
        elif held:
            held -= 1
            single.release()
            run.release()
        assert run.requests(now) == single.requests(now)
        assert run.delay(now) == single.delay(now)
        assert (run.left, _counts(run)) == (single.left, _counts(single))


def _counts(download: Download) -> tuple[int, ...]:
    """The counters; a run tells both kinds of duplicates of a chunk that it completes as one."""
    counters = download.counters
    return (
        counters.requests,
        counters.partial_requests,
        counters.re_requests,
        counters.lost_blocks,
        counters.duplicates_done + counters.duplicates_in_progress,
        counters.no_buffer,
        counters.idles,
    )


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
