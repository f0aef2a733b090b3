"""The tutorial does what it says: every command of it is run, and prints what is shown."""

from pathlib import Path

import pytest

from tests.commands import user_environment
from tests.documented_commands import ROOT
from tests.tutorial import Command, commands, normal, run

pytestmark = pytest.mark.e2e
PAGE = (ROOT / "docs/tutorial.md").read_text()
PARTS = {
    "imaging-testbed up", "imaging-nodes", "imaging-load -i sample --dry-run", "imaging-wait",
    "imaging-save", "imaging-testbed fault", "--ko", "--report", "imaging-history",
    "imaging-monitor --once", "imaging-leases", "imaging-testbed down",
}  # fmt: skip


def test_every_command_prints_what_the_page_shows(tmp_path: Path) -> None:
    directory, home = tmp_path / "alice", tmp_path / "home"
    directory.mkdir()
    home.mkdir()
    environment = user_environment(home)
    del environment["PYTHONWARNINGS"]  # a reader has none
    typed = list(commands(PAGE))
    down = Command("imaging-testbed down . 2> /dev/null", "", 0, in_any_order=False)
    printed = run([*typed, down], directory, environment)
    for command, text in zip(typed, printed, strict=False):
        order = command.in_any_order
        shown = normal(command.output, in_any_order=order)
        assert normal(text, in_any_order=order) == shown, command.text


def test_the_tutorial_has_all_its_parts() -> None:
    typed = "\n".join(command.text for command in commands(PAGE))
    assert all(part in typed for part in PARTS)


def test_what_differs_each_time_is_all_that_may_differ() -> None:
    shown = "21:56:38 boot: 4/4 nodes, 1.6 s\nfit01 127.175.30.2 firmware"
    assert normal(shown) == normal(shown.replace("21:56", "09:01").replace("175", "3"))
    assert normal(shown) != normal(shown.replace("4/4", "3/4"))
    assert normal(shown) != normal(shown.replace("firmware", "dead"))
    assert normal("b\na") != normal("a\nb")
    assert normal("b\na", in_any_order=True) == normal("a\nb", in_any_order=True)


def test_commands_and_their_outputs_are_told_apart() -> None:
    first, second = "```console\n$ one\na\nb\n$ two\n```", "```console\n$ three\n```"
    page = f"# T\n\n{first}\n\n<!-- in any order -->\n\n{second}\n"
    assert list(commands(page)) == [
        Command("one", "a\nb", 3, in_any_order=False),
        Command("two", "", 3, in_any_order=False),
        Command("three", "", 12, in_any_order=True),
    ]
