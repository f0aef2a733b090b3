"""The server's speed, on a clock of its own."""

import pytest

from imaging.frisbee.pacing import (
    BUCKET_S,
    FLOOR_RATE,
    GROWTH,
    SHRINKING,
    SHRINKING_INTERVAL_S,
    START_RATE,
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


@pytest.mark.parametrize("limit", [1e6, 20e6, 71.808e6, 400e6, 1e9])
def test_the_limit_is_kept_on_the_wire(limit: float) -> None:
    pacer = Pacer(limit, 0.0)
    send_for(pacer, 0.0, 3.0)
    blocks = send_for(pacer, 3.0, 2.0)
    rate = blocks * WIRE_BITS_PER_BLOCK / 2.0
    assert rate <= limit * 1.01 + WIRE_BITS_PER_BLOCK
    assert rate >= limit * 0.97 - WIRE_BITS_PER_BLOCK


def test_without_a_limit_the_rate_grows_to_the_top() -> None:
    pacer = Pacer(None, 0.0)
    assert pacer.rate == START_RATE
    send_for(pacer, 0.0, 5.0)
    assert pacer.rate == TOP_RATE


def test_the_rate_grows_only_while_something_is_sent() -> None:
    pacer = Pacer(None, 0.0)
    assert pacer.allowance(10.0) >= 1
    assert pacer.rate == START_RATE


def test_a_loss_shrinks_the_rate_once_for_all_clients_that_tell_it() -> None:
    pacer = Pacer(1e9, 0.0)
    send_for(pacer, 0.0, 5.0)
    for moment in range(8):
        pacer.lost(5.0 + moment * SHRINKING_INTERVAL_S / 10)
    assert pacer.rate == pytest.approx(1e9 * SHRINKING)
    pacer.lost(5.0 + SHRINKING_INTERVAL_S * 1.01)
    assert pacer.rate == pytest.approx(1e9 * SHRINKING**2)


def test_losses_never_stop_the_server_and_it_recovers() -> None:
    pacer = Pacer(1e9, 0.0)
    now = 0.0
    for _ in range(100):
        now += SHRINKING_INTERVAL_S
        pacer.lost(now)
    assert pacer.rate == FLOOR_RATE
    send_for(pacer, now, 5.0)
    assert pacer.rate == 1e9
    assert GROWTH > 1


def test_a_floor_above_the_limit_does_not_lift_it() -> None:
    pacer = Pacer(1e6, 0.0)
    pacer.lost(1.0)
    assert pacer.rate == 1e6


def test_what_was_not_sent_is_lost_but_for_a_short_burst() -> None:
    pacer = Pacer(100e6, 0.0)
    assert pacer.allowance(100.0) <= 100e6 * BUCKET_S / WIRE_BITS_PER_BLOCK + 1


def test_the_delay_is_exactly_until_the_next_block() -> None:
    pacer = Pacer(1e6, 0.0)
    pacer.sent(pacer.allowance(1.0), 1.0)
    delay = pacer.delay(1.0)
    assert pacer.allowance(1.0 + delay * 0.99) == 0
    assert pacer.allowance(1.0 + delay * 1.01) == 1
