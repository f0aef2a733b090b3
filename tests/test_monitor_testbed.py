"""What is known of nodes, folded from observations."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imaging.monitor.documents import watched
from imaging.monitor.observations import (
    ImageSeen,
    LeaseSeen,
    LoadedImage,
    NodeLease,
    Observation,
    Power,
    PowerSeen,
    Ramdisk,
    ReachSeen,
    Ssh,
    System,
)
from imaging.monitor.testbed import Condition, NodeState, Testbed, folded
from imaging.monitor.wording import change_text

NODE = "fit01"
UP = System("Fedora 21", "3.17", booted=95.0)


def power(at: float, power: Power, message: str = "") -> PowerSeen:
    return PowerSeen(at, NODE, power, message)


def reach(
    at: float, ssh: Ssh, ramdisk: Ramdisk = Ramdisk.ABSENT, system: System | None = None
) -> ReachSeen:
    return ReachSeen(at, NODE, ssh, ramdisk, "ssh: no answer", "no shell", system)


def after(*seen: Observation) -> NodeState:
    return after_all(NodeState(NODE), *seen)


def after_all(node: NodeState, *seen: Observation) -> NodeState:
    for observation in seen:
        node = folded(node, observation)
    return node


@pytest.mark.parametrize(
    ("card", "ssh", "ramdisk", "condition"),
    [
        (Power.ON, Ssh.UP, Ramdisk.ABSENT, Condition.UP),
        (Power.NO_CMC, Ssh.UP, Ramdisk.ABSENT, Condition.UP),
        (Power.OFF, Ssh.SILENT, Ramdisk.ABSENT, Condition.OFF),
        (Power.OFF, Ssh.UNKNOWN, Ramdisk.UNKNOWN, Condition.OFF),
        (Power.ON, Ssh.CLOSED, Ramdisk.ABSENT, Condition.NO_SSH),
        (Power.ON, Ssh.SILENT, Ramdisk.ABSENT, Condition.NO_SSH),
        (Power.ON, Ssh.CLOSED, Ramdisk.UP, Condition.RAMDISK),
        (Power.ON, Ssh.CLOSED, Ramdisk.NO_SHELL, Condition.NO_LOGIN),
        (Power.ON, Ssh.NO_LOGIN, Ramdisk.ABSENT, Condition.NO_LOGIN),
        (Power.ON, Ssh.NOT_SSH, Ramdisk.ABSENT, Condition.NO_LOGIN),
        (Power.NO_CMC, Ssh.SILENT, Ramdisk.ABSENT, Condition.NO_CMC),
        (Power.REFUSED, Ssh.SILENT, Ramdisk.ABSENT, Condition.NO_CMC),
        (Power.NO_CMC, Ssh.CLOSED, Ramdisk.ABSENT, Condition.NO_SSH),
        (Power.REFUSED, Ssh.CLOSED, Ramdisk.ABSENT, Condition.NO_SSH),
        (Power.ON, Ssh.UNKNOWN, Ramdisk.UNKNOWN, Condition.UNKNOWN),
        (Power.UNKNOWN, Ssh.SILENT, Ramdisk.ABSENT, Condition.UNKNOWN),
    ],
)
def test_the_condition_is_one_word_for_all_that_was_seen(
    card: Power, ssh: Ssh, ramdisk: Ramdisk, condition: Condition
) -> None:
    assert after(reach(1, ssh, ramdisk), power(2, card)).condition is condition
    assert after(power(1, card), reach(2, ssh, ramdisk)).condition is condition


def test_only_what_changes_something_is_a_change() -> None:
    testbed = Testbed.of([NODE, "fit02"])
    assert testbed.fold(power(1, Power.ON)) is not None
    assert testbed.fold(power(2, Power.ON)) is None
    assert testbed.fold(reach(3, Ssh.UP, system=UP)) is not None
    assert testbed.fold(reach(4, Ssh.UP)) is None
    assert testbed.fold(reach(5, Ssh.UP, system=UP)) is None
    assert testbed.nodes["fit02"] == NodeState("fit02")
    assert testbed.conditions() == {Condition.UP: 1, Condition.UNKNOWN: 1}


def test_since_is_when_the_condition_began() -> None:
    node = after(power(1, Power.ON), reach(2, Ssh.CLOSED), power(3, Power.ON), reach(4, Ssh.SILENT))
    assert (node.condition, node.since) == (Condition.NO_SSH, 2)
    assert folded(node, reach(9, Ssh.UP, system=UP)).since == 9


def test_the_same_boot_told_again_is_no_change() -> None:
    node = after(power(1, Power.ON), reach(100, Ssh.UP, system=UP))
    again = folded(node, reach(400, Ssh.UP, system=System("Fedora 21", "3.17", booted=95.9)))
    assert again == node
    other = folded(node, reach(400, Ssh.UP, system=System("Fedora 21", "3.17", booted=390.0)))
    assert other.system == System("Fedora 21", "3.17", booted=390.0)


def test_a_boot_is_timed_from_when_the_system_was_gone() -> None:
    up = after(power(1, Power.ON), reach(2, Ssh.UP, system=UP))
    gone = folded(folded(up, reach(100, Ssh.SILENT)), reach(102, Ssh.CLOSED))
    assert (gone.system, gone.gone, gone.boot_s) == (None, 100, None)
    back = folded(gone, reach(130.5, Ssh.UP, system=System(booted=112.0)))
    assert (back.boot_s, back.gone) == (30.5, None)


def test_a_boot_is_timed_from_when_power_came() -> None:
    off = after(power(1, Power.OFF), reach(2, Ssh.SILENT))
    on = folded(off, power(50, Power.ON))
    assert folded(on, reach(80, Ssh.UP, system=System(booted=60.0))).boot_s == 30


def test_a_boot_is_timed_from_when_the_ramdisk_was_gone() -> None:
    """As at the end of a load."""
    up = after(power(1, Power.ON), reach(2, Ssh.UP, system=UP))
    ramdisk = folded(folded(up, reach(100, Ssh.CLOSED)), reach(110, Ssh.CLOSED, Ramdisk.UP))
    still = folded(ramdisk, reach(150, Ssh.CLOSED, Ramdisk.UP))
    gone = folded(still, reach(200, Ssh.CLOSED))
    assert folded(gone, reach(225, Ssh.UP, system=System(booted=205.0))).boot_s == 25


def test_a_node_that_was_out_of_reach_has_not_booted() -> None:
    up = after(power(1, Power.ON), reach(2, Ssh.UP, system=UP))
    back = folded(folded(up, reach(100, Ssh.SILENT)), reach(110, Ssh.UP, system=UP))
    assert (back.boot_s, back.gone, back.condition) == (None, None, Condition.UP)


def test_without_power_there_is_no_system() -> None:
    node = after(power(1, Power.ON), reach(2, Ssh.UP, system=UP), power(3, Power.OFF))
    assert (node.condition, node.ssh, node.system, node.gone) == (
        Condition.OFF,
        Ssh.SILENT,
        None,
        None,
    )


def test_a_boot_is_timed_though_the_card_was_silent_before_power_came() -> None:
    off = after(power(1, Power.ON), reach(2, Ssh.UP, system=UP), power(10, Power.OFF))
    on = folded(folded(off, power(12, Power.NO_CMC, "dead")), power(14, Power.ON))
    back = after_all(on, reach(15, Ssh.SILENT), reach(40, Ssh.UP, system=System(booted=20.0)))
    assert back.boot_s == 26


def test_a_card_that_speaks_again_is_no_power_that_comes() -> None:
    """The node was turned on, and is up, while its card was silent."""
    off = after(power(1, Power.OFF), power(5, Power.NO_CMC, "dead"))
    up = after_all(off, reach(40, Ssh.UP, system=System(booted=20.0)), power(60, Power.ON))
    assert (up.gone, up.condition) == (None, Condition.UP)


def test_a_look_that_began_before_the_power_went_tells_nothing() -> None:
    off = after(power(1, Power.ON), reach(2, Ssh.UP, system=UP), power(10, Power.OFF))
    assert folded(off, reach(9.5, Ssh.UP, system=UP)) == off
    on = folded(off, power(20, Power.ON))
    assert folded(on, reach(9.5, Ssh.UP)) == on
    assert on.condition is Condition.NO_SSH
    assert folded(on, reach(19, Ssh.UP, system=System(booted=15.0))).condition is Condition.UP


def test_a_look_counts_when_the_clock_was_set_back() -> None:
    off = after(power(1e6, Power.ON), reach(1e6, Ssh.UP, system=UP), power(1e6 + 10, Power.OFF))
    on = folded(off, power(20, Power.ON))
    assert folded(on, reach(40, Ssh.UP, system=System(booted=25.0))).condition is Condition.UP


@pytest.mark.parametrize(
    ("ssh", "ramdisk"), [(Ssh.NO_LOGIN, Ramdisk.ABSENT), (Ssh.CLOSED, Ramdisk.NO_SHELL)]
)
def test_what_answered_is_gone_with_the_power(ssh: Ssh, ramdisk: Ramdisk) -> None:
    node = after(power(1, Power.ON), reach(2, ssh, ramdisk))
    assert node.condition is Condition.NO_LOGIN
    on = after_all(node, power(10, Power.OFF), power(20, Power.ON))
    assert (on.condition, on.ramdisk) == (Condition.NO_SSH, Ramdisk.ABSENT)
    assert "no shell" not in on.problem


def test_since_never_goes_back() -> None:
    node = after(power(1, Power.ON), reach(2, Ssh.SILENT), power(6, Power.NO_CMC, "dead"))
    up = folded(node, reach(5, Ssh.UP, system=UP))  # a login has taken a while
    assert (node.since, up.condition, up.since) == (6, Condition.UP, 6)


def test_a_dead_card_is_a_problem_of_a_node_that_is_up() -> None:
    node = after(reach(1, Ssh.UP, system=UP), power(2, Power.NO_CMC, "its card is dead"))
    assert (node.condition, node.problem) == (Condition.UP, "its card is dead")
    assert folded(node, power(3, Power.ON)).problem == ""


def test_the_history_is_believed_before_the_stamp() -> None:
    stamped = after(reach(1, Ssh.UP, system=System(stamp="old")))
    assert stamped.image_name == "old"
    loaded = folded(stamped, ImageSeen(2, NODE, LoadedImage("new", 1.0, "me")))
    assert loaded.image_name == "new"
    assert folded(loaded, ImageSeen(3, NODE, None)).image_name == "old"


@pytest.mark.parametrize(
    ("first", "second", "text"),
    [
        ((), (power(1, Power.ON),), None),
        ((), (power(1, Power.OFF),), "fit01: off"),
        (
            (power(1, Power.ON),),
            (reach(2, Ssh.SILENT),),
            "fit01: no-ssh, ssh: no answer",
        ),
        (
            (power(1, Power.ON), reach(2, Ssh.UP, system=UP)),
            (power(3, Power.NO_CMC, "dead\n\x1b[31m"),),
            "fit01: dead / \\x1b[31m",
        ),
        (
            (reach(2, Ssh.UP, system=UP), power(3, Power.NO_CMC, "dead")),
            (power(4, Power.ON),),
            "fit01: its card answers again",
        ),
        (
            (ImageSeen(1, NODE, LoadedImage("sample", 1.0, "me", half_written=True)),),
            (power(2, Power.OFF),),
            "fit01: off, image sample (half written)",
        ),
        (
            (power(1, Power.ON), reach(2, Ssh.SILENT)),
            (ImageSeen(3, NODE, LoadedImage("sample", 1.0, "me")),),
            "fit01: image sample",
        ),
        (
            (power(1, Power.OFF),),
            (LeaseSeen(2, NODE, NodeLease("inria_demo", 99.0)),),
            "fit01: held by inria_demo",
        ),
        *(
            (
                (power(1, Power.OFF), LeaseSeen(2, NODE, NodeLease("inria_demo", 99.0))),
                (LeaseSeen(3, NODE, lease),),
                text,
            )
            for lease, text in (
                (NodeLease("inria_demo", 199.0), "fit01: held by inria_demo for longer"),
                (NodeLease("inria_demo", 9.0), "fit01: held by inria_demo for less long"),
                (NodeLease("inria_other", 199.0), "fit01: held by inria_other"),
                (None, "fit01: not held any more"),
            )
        ),
    ],
)
def test_changes_are_told_in_a_line(
    first: tuple[Observation, ...], second: tuple[Observation, ...], text: str | None
) -> None:
    assert change_text(after(*first), after(*first, *second)) == text


TIMES = st.floats(0, 1e9)
SYSTEMS = st.builds(System, booted=st.none() | TIMES, stamp=st.sampled_from(["", "a"]))
OBSERVATIONS = st.one_of(
    st.builds(power, TIMES, st.sampled_from(Power)),
    st.builds(reach, TIMES, st.sampled_from(Ssh), st.sampled_from(Ramdisk), st.none() | SYSTEMS),
    st.builds(ImageSeen, TIMES, st.just(NODE), st.none() | st.just(LoadedImage("a", 1, "me"))),
    st.builds(LeaseSeen, TIMES, st.just(NODE), st.none() | st.just(NodeLease("me", 1))),
)


@given(st.lists(OBSERVATIONS, max_size=12))
def test_any_observations_give_a_state_that_can_be_told(seen: list[Observation]) -> None:
    node = after(*seen)
    told = watched(node)
    assert told.condition is node.condition
    assert (told.release is None) or node.ssh is Ssh.UP
    assert (told.image is None) == (node.image_name == "")
    if seen:  # the last of each kind tells, whatever was before
        assert folded(node, seen[-1]).condition is node.condition
