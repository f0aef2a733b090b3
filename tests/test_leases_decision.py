"""May this user act now, on these nodes? Four answers."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imaging.leases.decision import Answer, decide
from imaging.leases.lease import Lease, current, moment_text

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC).timestamp()
HOUR = 3600.0
NODES = [f"fit{number:02}" for number in range(1, 9)]


def lease(
    holder: str, start: float, end: float, *nodes: str, lease_id: str = "1", hour: float = HOUR
) -> Lease:
    """A lease from and until so many hours after noon; without nodes, of the whole testbed."""
    return Lease(lease_id, holder, NOON + start * hour, NOON + end * hour, nodes or None)


def test_yes() -> None:
    found = decide([lease("alice", -1, 2)], "alice", NODES, NOON, NOON + HOUR)
    assert found.answer is Answer.YES
    assert found.until == NOON + 2 * HOUR
    assert moment_text(NOON + 2 * HOUR) in found.message


def test_no_lease_says_who_holds_it_and_until_when() -> None:
    leases = [lease("bob", -1, 2), lease("alice", 2, 3), lease("carol", -3, -1)]
    found = decide(leases, "alice", ["fit01", "fit02"], NOON, NOON + HOUR)
    assert found.answer is Answer.NO_LEASE
    assert found.message == (
        "alice has no lease on fit01 fit02 now: bob holds the whole testbed until "
        f"{moment_text(NOON + 2 * HOUR)}; the next lease of alice begins at "
        f"{moment_text(NOON + 2 * HOUR)}"
    )


def test_no_lease_and_nobody_else_has_one() -> None:
    found = decide([], "alice", NODES, NOON, NOON)
    assert found.answer is Answer.NO_LEASE
    assert found.message == "alice has no lease on fit01-fit08 now: nobody else has one"


def test_no_for_one_node_is_no_and_names_that_node() -> None:
    leases = [lease("alice", -1, 1, *NODES[:7]), lease("bob", -1, 1, "fit07", "fit08")]
    found = decide(leases, "alice", NODES, NOON, NOON)
    assert found.answer is Answer.NO_LEASE
    assert found.message.startswith("alice has no lease on fit08 now: bob holds fit08 until ")


def test_a_lease_that_ends_before_the_run() -> None:
    leases = [lease("alice", -1, 1, "fit01"), lease("alice", -1, 3, "fit02")]
    found = decide(leases, "alice", ["fit01", "fit02"], NOON, NOON + 2 * HOUR)
    assert (found.answer, found.until) == (Answer.ENDS_EARLY, NOON + HOUR)
    assert decide(leases, "alice", ["fit02"], NOON, NOON + 2 * HOUR).answer is Answer.YES


def test_leases_that_follow_each_other_are_as_good_as_one() -> None:
    leases = [lease("alice", 1, 2, "fit01"), lease("alice", -1, 1), lease("alice", 2, 3)]
    assert decide(leases, "alice", ["fit01"], NOON, NOON + 3 * HOUR).answer is Answer.YES
    gap = [lease("alice", -1, 1), lease("alice", 1.01, 3)]
    found = decide(gap, "alice", ["fit01"], NOON, NOON + 2 * HOUR)
    assert (found.answer, found.until) == (Answer.ENDS_EARLY, NOON + HOUR)


def test_the_moments_at_which_a_lease_begins_and_ends() -> None:
    one = [lease("alice", 0, 1)]
    assert decide(one, "alice", NODES, NOON, NOON).answer is Answer.YES
    assert decide(one, "alice", NODES, NOON + HOUR, NOON + HOUR).answer is Answer.NO_LEASE
    assert decide(one, "alice", NODES, NOON, NOON + HOUR).answer is Answer.YES
    assert decide([lease("alice", 1, 0)], "alice", NODES, NOON, NOON).answer is Answer.NO_LEASE


def test_the_login_is_compared_as_it_is() -> None:
    for other in ("Alice", "alice ", "alice\n", "alic"):
        assert decide([lease(other, -1, 1)], "alice", NODES, NOON, NOON).answer is Answer.NO_LEASE


def test_a_holder_cannot_steer_a_terminal_nor_fill_it() -> None:
    hostile = "\x1b[2J\n" + "x" * 10_000 + "\u202e"
    message = decide([lease(hostile, -1, 1)], "alice", NODES, NOON, NOON).message
    assert message.isprintable()
    assert len(message) < 300
    assert "\\x1b[2J\\n" in message


def test_many_holders_are_counted() -> None:
    leases = [lease(f"user{node}", -1, 1, node, lease_id=node) for node in NODES]
    message = decide(leases, "alice", NODES, NOON, NOON).message
    assert message.count(" holds ") == 3
    assert message.endswith(", and 5 more leases")


def test_current_leases_the_longest_first() -> None:
    leases = [lease("a", -1, 1, "fit01"), lease("b", -1, 2, "fit02"), lease("c", 1, 9)]
    assert [one.holder for one in current(leases, NOON)] == ["b", "a"]


LEASES = st.lists(
    st.builds(
        lambda holder, start, length, nodes, number: Lease(
            str(number), holder, start, start + length, nodes
        ),
        st.sampled_from(["alice", "bob"]),
        st.integers(-10, 10).map(float),
        st.integers(0, 10),
        st.none() | st.lists(st.sampled_from(NODES), max_size=3).map(tuple),
        st.integers(0, 99),
    ),
    max_size=8,
)


@given(LEASES, st.lists(st.sampled_from(NODES), min_size=1, unique=True), st.integers(0, 12))
def test_the_answer_is_that_of_asking_for_every_moment(
    leases: list[Lease], nodes: list[str], length: int
) -> None:
    def held(node: str, at: float) -> bool:
        mine = [one for one in leases if one.holder == "alice"]
        return any(one.is_current(at) and one.covers(node) for one in mine)

    found = decide(leases, "alice", nodes, 0.0, float(length))
    halves = [at / 2 for at in range(2 * length)]
    if not all(held(node, 0.0) for node in nodes):
        assert found.answer is Answer.NO_LEASE
    elif all(held(node, at) for node in nodes for at in halves):
        assert found.answer is Answer.YES
    else:
        assert found.answer is Answer.ENDS_EARLY
        assert found.until is not None
        assert not all(held(node, found.until) for node in nodes)


@pytest.mark.parametrize(("offset", "text"), [(0, "12:00"), (30, "12:00:30")])
def test_a_moment_has_its_zone(offset: int, text: str) -> None:
    shown = moment_text(NOON + offset)
    assert len(shown.split()) == 3
    assert shown.split()[1].count(":") == text.count(":")
