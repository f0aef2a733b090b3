"""Memory for chunks."""

from imaging.frisbee.assembly import BufferPool


def test_memory_that_was_given_back_is_used_first() -> None:
    pool = BufferPool()
    one, other = pool.take(), pool.take()
    assert one is not other
    pool.give_back(one)
    pool.give_back(other)
    assert [pool.take(), pool.take()] == [other, one]
    assert pool.take() not in (one, other)
