"""The monitor's full screen: pure functions."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imaging.feedback.display.cells import cells
from imaging.feedback.display.keys import Key
from imaging.feedback.display.rows import Look
from imaging.monitor.observations import LoadedImage, NodeLease, Power, Ramdisk, Ssh, System
from imaging.monitor.screen import Order, View, arranged, column_widths, pressed, screen_lines
from imaging.monitor.testbed import NodeState, Testbed

NOW = 1000.0
NODES = [
    NodeState(
        "fit01",
        Power.ON,
        ssh=Ssh.UP,
        system=System("Fedora 21 (Twenty One)", "3.17.4", booted=NOW - 7200),
        image=LoadedImage("fedora-21", 1.0, "me"),
        lease=NodeLease("inria_demo", 2000.0),
        since=NOW - 60,
    ),
    NodeState("fit02", Power.OFF, since=NOW - 1),
    NodeState("fit03", Power.NO_CMC, "its card is dead", Ssh.SILENT, since=NOW - 300),
    NodeState("fit04", Power.ON, ssh=Ssh.CLOSED, ssh_message="ssh: connection refused", since=NOW),
    NodeState("fit05", Power.ON, ssh=Ssh.CLOSED, ramdisk=Ramdisk.UP, since=NOW),
    NodeState("fit06", Power.NO_CMC, "its card is dead", Ssh.UP, system=System(), since=NOW),
    NodeState("fit07"),
]
TESTBED = Testbed({node.name: node for node in NODES})


def shown(view: View, width: int = 140, height: int = 24) -> list[str]:
    return [line.text.rstrip() for line in screen_lines(TESTBED, view, width, height, NOW)]


def test_the_nodes_are_grouped_those_that_want_attention_first() -> None:
    lines = shown(View())
    assert lines[0].startswith("imaging-monitor  7 nodes: 1 no-cmc, 1 no-ssh, 1 ramdisk, 2 up")
    assert lines[1].split()[:3] == ["NODE", "STATE", "SINCE"]
    assert [line.split()[0] for line in lines[2:15]] == [
        *("no-cmc", "fit03", "no-ssh", "fit04", "ramdisk", "fit05", "up", "fit01", "fit06"),
        *("off", "fit02", "unknown", "fit07"),
    ]
    up = lines[9]
    assert up.split()[:15] == [
        *("fit01", "up", "60", "s", "on", "fedora-21", "Fedora", "21", "(Twenty", "One)"),
        *("3.17.4", "2", "h", "inria_demo", "until"),
    ]
    assert lines[3].endswith("its card is dead")


def test_a_line_says_that_leases_are_not_known() -> None:
    testbed = Testbed(TESTBED.nodes, leases_problem="out of\nreach")
    lines = screen_lines(testbed, View(), 140, 24, NOW)
    assert lines[1].text.rstrip() == "who holds the nodes is not known: out of / reach"
    assert lines[1].look is Look.WARNING
    assert [line.text for line in lines[2:20]] == [
        line.text for line in screen_lines(TESTBED, View(), 140, 24, NOW)[1:19]
    ]
    end = pressed(View(), Key.END, testbed, 10)
    assert "fit07" in screen_lines(testbed, end, 140, 10, NOW)[-2].text


def test_colours_say_what_wants_attention() -> None:
    looks = {
        line.text.split()[0]: line.look
        for line in screen_lines(TESTBED, View(order=Order.NAME), 120, 24, NOW)[2:9]
    }
    assert looks == {
        "fit01": Look.DONE,
        "fit02": Look.WAITING,
        "fit03": Look.FAILED,
        "fit04": Look.WARNING,
        "fit05": Look.BUSY,
        "fit06": Look.WARNING,  # up, with a dead card
        "fit07": Look.WAITING,
    }


@pytest.mark.parametrize(
    ("view", "names"),
    [
        (View(order=Order.NAME), "1234567"),
        (View(order=Order.NAME, backwards=True), "7654321"),
        (View(order=Order.SINCE), "4562137"),
        (View(order=Order.IMAGE), "1234567"),
        (View(order=Order.LEASE), "1234567"),
        (View(order=Order.STATE), "3451627"),
        (View(order=Order.NAME, problems_only=True), "346"),
    ],
)
def test_orders(view: View, names: str) -> None:
    assert "".join(node.name[-1] for node in arranged(TESTBED, view)) == names


def test_keys_choose_what_is_seen() -> None:
    view = View()
    for order in (Order.NAME, Order.SINCE, Order.IMAGE, Order.LEASE, Order.STATE):
        view = pressed(view, Key.SORT, TESTBED, 24)
        assert view.order is order
    assert pressed(view, Key.REVERSE, TESTBED, 24).backwards
    assert pressed(view, Key.FAILURES, TESTBED, 24).problems_only
    # 13 lines of list on 7: a page is 4
    assert pressed(view, Key.DOWN, TESTBED, 7).top == 1
    assert pressed(view, Key.UP, TESTBED, 7).top == 0
    assert pressed(view, Key.PAGE_DOWN, TESTBED, 7).top == 4
    end = pressed(view, Key.END, TESTBED, 7)
    assert end.top == 9
    assert shown(end, height=7)[-1].endswith("10-13 of 13")
    assert pressed(end, Key.HOME, TESTBED, 7) == view
    assert pressed(view, Key.ENTER, TESTBED, 7) == view


def test_without_a_problem_that_is_said() -> None:
    fine = Testbed({"fit01": NODES[0]})
    lines = screen_lines(fine, View(problems_only=True), 80, 10, NOW)
    assert lines[2].text == "no node has a problem"


def test_narrow_screens_keep_what_matters() -> None:
    rows = [["fit01", "no-login", "12 min", "on", "fedora", "Fedora", "3", "2 h", "me", "why"]]
    assert list(column_widths(rows, 200)) == [
        *("NODE", "STATE", "SINCE", "IMAGE", "LEASE", "UPTIME", "SYSTEM", "POWER", "KERNEL")
    ]
    assert list(column_widths(rows, 45)) == ["NODE", "STATE", "SINCE"]
    assert list(column_widths(rows, 5)) == ["NODE"]


@given(
    st.integers(1, 250),
    st.integers(1, 60),
    st.builds(View, st.sampled_from(Order), st.booleans(), st.booleans(), st.integers(0, 99)),
    st.text(max_size=30),
)
def test_a_screen_fits(width: int, height: int, view: View, text: str) -> None:
    strange = NodeState(
        "fit08", Power.NO_CMC, text, Ssh.UP, system=System(text, text, 1.0, text), since=1.0
    )
    testbed = Testbed({**TESTBED.nodes, "fit08": strange})
    lines = screen_lines(testbed, view, width, height, NOW)
    assert len(lines) == height
    for line in lines:
        assert cells(line.text) <= width
        assert line.text.isprintable()
