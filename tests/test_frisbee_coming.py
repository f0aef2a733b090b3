"""What a client takes to be on its way, on a clock of its own."""

import pytest

from imaging.frisbee.coming import QUEUE_FACTOR, RATE_INTERVAL_S, Coming
from imaging.frisbee.packets import BLOCKS_PER_CHUNK

REDO_S = 0.3
SILENCE_S = 0.1

ALL_BLOCKS = (1 << BLOCKS_PER_CHUNK) - 1


def all_missing(_chunk: int) -> int:
    return ALL_BLOCKS


def bits(first: int, count: int) -> int:
    return ((1 << count) - 1) << first


def started(now: float = 0.0) -> Coming:
    return Coming(REDO_S, SILENCE_S, now)


def test_what_was_asked_for_is_on_its_way_for_a_while() -> None:
    coming = started()
    coming.ask(3, bits(0, 10), 0.0)
    coming.hear(0, 1, 0.01)  # the server is alive, and does something else
    coming.ask(3, bits(20, 5), 0.02)
    assert coming.of(3, 0.03) == bits(0, 10) | bits(20, 5)
    assert coming.of(4, 0.03) == 0
    assert coming.count(all_missing, 0.03) == 15 + 1023
    coming.hear(0, 1, REDO_S)
    assert coming.of(3, 0.01 + REDO_S) != 0
    assert coming.of(3, 0.03 + REDO_S) == 0
    coming.count(all_missing, 0.03 + REDO_S)
    assert coming.chunks == 0


def test_in_silence_nothing_is_given_up() -> None:
    coming = started()
    coming.ask(3, 1, 1.0)
    assert coming.of(3, 100.0) == 1


def test_what_the_server_has_passed_is_not_on_its_way_any_more() -> None:
    coming = started()
    coming.ask(3, ALL_BLOCKS, 0.0)
    assert coming.hear(3, bits(0, 60), 0.01), "it begins"
    assert not coming.hear(3, bits(70, 50), 0.02), "and goes on"
    assert coming.of(3, 0.02) == ALL_BLOCKS & ~bits(0, 120)
    assert coming.count(lambda _: ALL_BLOCKS & ~bits(0, 110), 0.02) == 1024 - 120
    assert coming.hear(4, 1, 0.03)
    assert coming.of(3, 0.03) == 0


def test_what_is_asked_for_during_a_pass_is_for_the_next_one() -> None:
    coming = started()
    coming.ask(3, ALL_BLOCKS, 0.0)
    coming.hear(3, bits(0, 60), 0.01)
    coming.ask(3, bits(5, 2), 0.02)
    coming.hear(4, 1, 0.03)
    assert coming.of(3, 0.03) == bits(5, 2)
    assert coming.hear(3, bits(5, 1), 0.04)
    assert not coming.is_at_end(1024)
    coming.hear(3, bits(6, 1), 0.04)
    assert coming.is_at_end(1024)


def test_the_server_may_come_back_to_the_chunk_it_is_at() -> None:
    coming = started()
    coming.hear(3, bits(0, 1024), 0.01)
    assert coming.is_at_end(1024)
    coming.ask(3, bits(5, 2), 0.02)
    assert coming.hear(3, bits(5, 1), 0.03)
    # packets that only overtake each other are no return
    coming.hear(4, bits(10, 1), 0.04)
    assert not coming.hear(4, bits(9, 1), 0.04)


def test_patience_grows_with_what_the_server_has_to_send() -> None:
    """At 10 Mbit/s a chunk takes a second, and is not lost after a third of it."""
    coming = started()
    block_s = 0.9e-3
    now = 0.0
    for block in range(200):
        now += block_s
        coming.hear(0, 1 << block, now)
    assert coming.block_s == pytest.approx(block_s, rel=0.01)
    assert now > RATE_INTERVAL_S
    coming.ask(1, ALL_BLOCKS, now)
    coming.ask(2, ALL_BLOCKS, now)
    coming.count(all_missing, now)
    patience = REDO_S + QUEUE_FACTOR * 2 * 1024 * block_s
    asked_at = now
    for block in range(200, 1024):
        now += block_s
        coming.hear(0, 1 << block, now)
    assert now - asked_at > 2 * REDO_S
    assert coming.of(2, now) == ALL_BLOCKS
    assert coming.of(2, asked_at + patience * 1.02) == 0


def test_silence_is_not_slowness() -> None:
    coming = started()
    for number in range(100):
        coming.hear(0, 1 << number, number * 0.001)
    coming.hear(0, 1 << 100, 10.0)
    for number in range(101, 200):
        coming.hear(0, 1 << number, 10.0 + (number - 100) * 0.001)
    assert coming.block_s == pytest.approx(0.001, rel=0.05)


def test_chunks_that_take_a_buffer_when_they_come() -> None:
    coming = started()
    for chunk in (1, 2, 3):
        coming.ask(chunk, 1, 0.0)
    assert coming.chunks == 3
    assert coming.chunks_besides({2, 9}) == 2
    coming.forget(1)
    coming.forget(1)
    assert coming.chunks_besides({2, 9}) == 1
