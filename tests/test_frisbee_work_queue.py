"""The server's queue: everything asked for is sent, nothing waits twice."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from imaging.frisbee.packets import BLOCKS_PER_CHUNK
from imaging.frisbee.work_queue import Run, WorkQueue

ALL_BLOCKS = (1 << BLOCKS_PER_CHUNK) - 1
BITMAPS = st.one_of(
    st.just(ALL_BLOCKS),
    st.integers(1, ALL_BLOCKS),
    st.tuples(st.integers(0, 1000), st.integers(1, 24)).map(lambda r: ((1 << r[1]) - 1) << r[0]),
)


def bitmap(run: Run) -> int:
    return ((1 << run.count) - 1) << run.first


def drain(queue: WorkQueue, limit: int = 60) -> list[Run]:
    runs: list[Run] = []
    while taken := queue.take(limit):
        assert sum(run.count for run in taken) <= limit
        assert len({run.chunk for run in taken}) == 1
        runs.extend(taken)
    return runs


@given(st.lists(st.tuples(st.integers(0, 3), BITMAPS), max_size=8), st.integers(1, 100))
def test_what_waits_is_sent_exactly_once_in_order(
    requests: list[tuple[int, int]], limit: int
) -> None:
    queue = WorkQueue()
    wanted: dict[int, int] = {}
    for chunk, blocks in requests:
        queue.add(chunk, blocks)
        wanted[chunk] = wanted.get(chunk, 0) | blocks
    assert queue.blocks == sum(b.bit_count() for b in wanted.values())
    assert queue.chunks == len(wanted)
    runs = drain(queue, limit)
    assert not queue
    assert list(dict.fromkeys(run.chunk for run in runs)) == list(wanted)
    for chunk, blocks in wanted.items():
        mine = [run for run in runs if run.chunk == chunk]
        assert all(1 <= run.count <= limit for run in mine)
        assert all(a.first + a.count <= b.first for a, b in pairwise(mine))
        assert sum(map(bitmap, mine)) == blocks


@given(
    st.lists(
        st.one_of(st.tuples(st.integers(0, 2), BITMAPS), st.integers(1, 80)),
        min_size=1,
        max_size=30,
    )
)
def test_whoever_asks_while_blocks_are_sent_gets_or_has_heard_them(
    actions: list[tuple[int, int] | int],
) -> None:
    """A request is answered by what is sent after it, or was a repeat of the run being sent."""
    queue = WorkQueue()
    waiting: dict[int, int] = {}
    current, whole = -1, 0
    for action in [*actions, *[1024] * 2000]:
        if isinstance(action, int):
            runs = queue.take(action)
            assert runs or not any(waiting.values())
            for run in runs:
                if run.chunk != current:
                    current, whole = run.chunk, waiting[run.chunk]
                waiting[run.chunk] &= ~bitmap(run)
                if not waiting[run.chunk]:
                    current = -1
        else:
            chunk, blocks = action
            queue.add(chunk, blocks)
            if chunk == current and blocks == whole:
                blocks &= waiting[chunk]  # a repeat: the rest comes, the beginning was heard
            waiting[chunk] = waiting.get(chunk, 0) | blocks
    assert not any(waiting.values())
    assert not queue


def test_first_come_first_served_by_chunk() -> None:
    queue = WorkQueue()
    assert queue.add(5, 0b1100)
    assert queue.add(1, 0b1)
    assert queue.add(5, 0b11)
    assert drain(queue) == [Run(5, 0, 4), Run(1, 0, 1)]
    assert queue.take(60) == []


def test_what_waits_already_is_merged() -> None:
    queue = WorkQueue()
    assert queue.add(1, ALL_BLOCKS)
    assert not queue.add(1, 0b1010)
    assert queue.merged == 1
    assert queue.blocks == 1024


def test_a_chunk_that_is_asked_for_again_while_it_is_sent_is_not_sent_twice() -> None:
    queue = WorkQueue()
    queue.add(1, ALL_BLOCKS)
    assert queue.take(100) == [Run(1, 0, 100)]
    assert not queue.add(1, ALL_BLOCKS)
    assert sum(run.count for run in drain(queue, 1024)) == 924


def test_blocks_that_have_passed_are_sent_once_more() -> None:
    queue = WorkQueue()
    queue.add(1, ALL_BLOCKS)
    queue.take(100)
    assert queue.add(1, 0b111)
    assert drain(queue, 1024) == [Run(1, 100, 924), Run(1, 0, 3)]


def test_scattered_blocks_go_out_in_one_call() -> None:
    queue = WorkQueue()
    queue.add(1, 0b1001_0110)
    queue.add(2, 0b1)
    assert queue.take(3) == [Run(1, 1, 2), Run(1, 4, 1)]
    assert queue.take(3) == [Run(1, 7, 1)]
    assert queue.take(0) == []
    assert queue.take(3) == [Run(2, 0, 1)]
