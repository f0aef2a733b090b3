"""The page that tells what happens when something goes wrong says what the fault table does."""

import re

import pytest

from imaging.errors import Reason
from tests.faults.table import BATCHES, LEASES, SERVERS
from tests.report_samples import DOCS

PAGE = (DOCS / "what-happens.md").read_text()
TABLE_ROW = re.compile(r"\| .*\(`([^`]+)`\) \| .+ \| ([0-9]) \| (none|`[a-z-]+`) \|")


def told(section: str) -> list[tuple[str, str, str]]:
    """The rows of the table that follows a mark: fault, exit code and reason."""
    _, mark, after = PAGE.partition(f"<!-- {section} -->\n")
    assert mark, f"there is no table of {section}"
    lines = re.split(r"\n(?:## |<!-- )", after)[0].splitlines()
    rows = [line for line in lines if line.startswith("|")][2:]
    found = [TABLE_ROW.fullmatch(row) for row in rows]
    assert all(found), rows
    return [(row[1], row[2], row[3].strip("`")) for row in found if row]


def expected(fault: str, reason: Reason | None) -> tuple[str, str, str]:
    return (fault, "0", "none") if reason is None else (fault, "1", reason.value)


@pytest.mark.parametrize("name", BATCHES)
def test_every_fault_of_a_batch_is_on_the_page(name: str) -> None:
    assert told(name) == [expected(row.fault, row.reason) for row in BATCHES[name].rows]


def test_every_fault_of_the_server_is_on_the_page() -> None:
    assert told("servers") == [expected(*server) for server in SERVERS.items()]


def test_every_fault_of_the_leases_is_on_the_page() -> None:
    assert told("leases") == [expected(*row) for row in LEASES.items()]


def test_every_reason_word_is_on_the_page_and_no_other() -> None:
    words = set(re.findall(r"\| (?:none, or )?`([a-z-]+)` \|", PAGE))
    assert words == set(Reason) - {Reason.INTERNAL}  # a bug: there is no telling
