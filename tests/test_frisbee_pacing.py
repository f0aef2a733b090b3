"""The server's speed, on a clock of its own."""

import math

import pytest

from imaging.frisbee.pacing import (
    BUCKET_S,
    CALL_BLOCKS,
    DEEPEST_CUT,
    FLOOR_RATE,
    GROWTH,
    GROWTH_INTERVAL_S,
    JUDGE_BLOCKS,
    JUDGE_INTERVAL_S,
    SLEEP_S,
    START_RATE,
    TOLERATED_LOSS,
    TOP_RATE,
    WIRE_BITS_PER_BLOCK,
    Pacer,
)


def send_for(pacer: Pacer, begin: float, seconds: float, step: float = 0.0005) -> int:
    """Send as much as is allowed for so long; gives the number of blocks."""
    sent, now = 0, begin
    while now < begin + seconds:
        now += step
        allowed = pacer.allowance(now)
        if allowed:
            pacer.sent(allowed, now)
            sent += allowed
    return sent


@pytest.mark.parametrize("step", [0.0001, 0.0005, 0.004])
@pytest.mark.parametrize("limit", [1e6, 10e6, 71.808e6, 100e6, 400e6, 1e9])
def test_the_limit_is_kept_on_the_wire(limit: float, step: float) -> None:
    """Also by a server that wakes up late."""
    pacer = Pacer(limit, 0.0)
    send_for(pacer, 0.0, 3.0, step)
    blocks = send_for(pacer, 3.0, 2.0, step)
    rate = blocks * WIRE_BITS_PER_BLOCK / 2.0
    assert rate <= limit * 1.01 + WIRE_BITS_PER_BLOCK
    assert rate >= min(limit, 800e6 if step > 0.001 else limit) * 0.97 - WIRE_BITS_PER_BLOCK


def test_without_a_limit_the_rate_grows_to_the_top() -> None:
    pacer = Pacer(None, 0.0)
    assert pacer.rate == START_RATE
    send_for(pacer, 0.0, 5.0)
    assert pacer.rate == TOP_RATE


def test_the_rate_grows_only_while_something_is_sent() -> None:
    pacer = Pacer(None, 0.0)
    assert pacer.allowance(10.0) >= 1
    assert pacer.rate == START_RATE


def lose(pacer: Pacer, now: float, shares: dict[str, float], clients: int) -> float:
    """Send for an interval, of which clients miss their share; the time afterwards."""
    seconds = max(JUDGE_INTERVAL_S * 1.01, JUDGE_BLOCKS * 1.05 * WIRE_BITS_PER_BLOCK / pacer.rate)
    for client, share in shares.items():
        blocks = share * seconds * pacer.rate / WIRE_BITS_PER_BLOCK
        pacer.lost(client, math.ceil(blocks), clients)
    send_for(pacer, now, seconds)
    return now + seconds


def fast_pacer() -> Pacer:
    """At 1 Gbit/s, at second 5."""
    pacer = Pacer(1e9, 0.0)
    send_for(pacer, 0.0, 5.0)
    lose(pacer, 4.9, {}, clients=1)  # what was before does not count any more
    assert pacer.rate == 1e9
    return pacer


def test_the_rate_shrinks_by_the_share_that_was_lost() -> None:
    pacer = fast_pacer()
    now = lose(pacer, 5.0, {"a": 0.3}, clients=1)
    assert pacer.rate == pytest.approx(0.7e9, rel=0.03)
    before = pacer.rate
    lose(pacer, now, {"a": 0.9}, clients=1)
    assert before * DEEPEST_CUT * 0.99 < pacer.rate < before * DEEPEST_CUT * GROWTH * 1.01


def test_a_few_lost_packets_are_no_congestion() -> None:
    pacer, now = fast_pacer(), 5.0
    for _ in range(50):
        now = lose(pacer, now, {f"{n}": TOLERATED_LOSS * 0.9 for n in range(100)}, clients=100)
    assert pacer.rate == 1e9


def test_one_bad_node_slows_nobody_down() -> None:
    pacer, now = fast_pacer(), 5.0
    for _ in range(10):
        now = lose(pacer, now, {"bad": 0.5}, clients=2)
    assert pacer.rate == 1e9


def test_what_most_clients_lose_counts_once() -> None:
    pacer = fast_pacer()
    lose(pacer, 5.0, {"a": 0.2, "b": 0.3, "c": 0.25, "d": 0.0}, clients=4)
    assert pacer.rate == pytest.approx(0.8e9, rel=0.03)


def test_losses_never_stop_the_server_and_it_recovers() -> None:
    pacer, now = fast_pacer(), 5.0
    for _ in range(100):
        now = lose(pacer, now, {"a": 0.9}, clients=1)
    assert FLOOR_RATE <= pacer.rate < 2 * FLOOR_RATE
    growing = math.log(1e9 / FLOOR_RATE) / math.log(GROWTH) * GROWTH_INTERVAL_S
    send_for(pacer, now, 1.5 * growing)
    assert pacer.rate == 1e9


def test_after_a_loss_the_rate_does_not_double_any_more() -> None:
    pacer = Pacer(None, 0.0)
    now = lose(pacer, 0.0, {"a": 0.5}, clients=1)
    before = pacer.rate
    send_for(pacer, now, 4 * GROWTH_INTERVAL_S)
    assert before < pacer.rate <= before * GROWTH**5


def test_a_floor_above_the_limit_does_not_lift_it() -> None:
    pacer = Pacer(1e6, 0.0)
    lose(pacer, 0.0, {"a": 0.5}, clients=1)
    assert pacer.rate == 1e6


def test_what_was_not_sent_is_lost_but_for_a_short_burst() -> None:
    pacer = Pacer(100e6, 0.0)
    assert pacer.allowance(100.0) <= 100e6 * BUCKET_S / WIRE_BITS_PER_BLOCK + 1


def test_a_call_is_worth_its_while() -> None:
    """Nothing goes out before there is enough of it, but for slow lines."""
    pacer = Pacer(1e9, 0.0)
    send_for(pacer, 0.0, 5.0)
    assert pacer.allowance(5.1) >= CALL_BLOCKS
    pacer.sent(pacer.allowance(5.1), 5.1)
    assert pacer.allowance(5.1001) == 0
    assert pacer.allowance(5.1 + pacer.delay(5.1) * 1.01) == CALL_BLOCKS


def test_a_sleep_is_worth_its_while() -> None:
    """At the highest rates it is as long as several calls take."""
    pacer = Pacer(None, 0.0)
    send_for(pacer, 0.0, 5.0)
    pacer.sent(pacer.allowance(5.01), 5.01)
    delay = pacer.delay(5.01)
    assert 0.1 * SLEEP_S < delay <= SLEEP_S
    assert pacer.allowance(5.01 + delay) >= 3 * CALL_BLOCKS


def test_the_delay_is_exactly_until_the_next_block() -> None:
    pacer = Pacer(1e6, 0.0)
    pacer.sent(pacer.allowance(1.0), 1.0)
    delay = pacer.delay(1.0)
    assert pacer.allowance(1.0 + delay * 0.99) == 0
    assert pacer.allowance(1.0 + delay * 1.01) == 1
