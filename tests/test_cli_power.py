"""The power verbs, and the selection by power, against a running virtual testbed."""

import json
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.commands import Commands, wait_for

pytestmark = pytest.mark.e2e


@pytest.fixture(autouse=True)
def all_on(testbed: Commands) -> None:
    for name in ("fit01", "fit02", "fit03", "fit04", "fit05"):
        testbed.order(name, "on")


def test_status_has_a_line_per_node_in_order(testbed: Commands) -> None:
    testbed.order("fit03", "off")
    done = testbed.run("imaging-status", "-a")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "fit01: on\nfit02: on\nfit03: off\nfit04: on\nfit05: on\n"


def test_on_and_off_do_what_they_say(testbed: Commands) -> None:
    assert testbed.run("imaging-off", "1-2").stdout == "fit01: off\nfit02: off\n"
    wait_for(lambda: testbed.state("fit01") == "off")
    assert testbed.order("fit02", "status") == "off"
    assert testbed.run("imaging-on", "1").stdout == "fit01: on\n"
    assert testbed.order("fit01", "status") == "on"
    assert testbed.order("fit02", "status") == "off"


def test_reset_restarts_what_is_on_and_refuses_what_is_off(testbed: Commands) -> None:
    testbed.order("fit02", "off")
    powered = testbed.directory / "nodes/fit01/powered"
    before = powered.read_text()
    done = testbed.run("imaging-reset", "1-2")
    assert done.returncode == 1
    first, second = done.stdout.splitlines()
    assert first == "fit01: ok"
    assert second.startswith("fit02: KO (power-refused: is off, so there is nothing to reset (")
    wait_for(lambda: powered.read_text() != before)


def test_info_may_have_several_lines(testbed: Commands) -> None:
    lines = testbed.run("imaging-info", "1").stdout.splitlines()
    assert lines[:2] == ["fit01: virtual CMC", "       node fit01"]


def test_a_card_that_does_not_answer_fails_its_node_only(testbed: Commands) -> None:
    with testbed.unreachable("fit02", "cmc"):
        done = testbed.run("imaging-status", "1-3")
    assert done.returncode == 1
    first, second, third = done.stdout.splitlines()
    assert (first, third) == ("fit01: on", "fit03: on")
    assert second.startswith("fit02: KO (no-cmc: its CMC 127.")


def test_quietly_only_failures_are_told(testbed: Commands) -> None:
    done = testbed.run("imaging-status", "-q", "1-3")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    with testbed.unreachable("fit02", "cmc"):
        done = testbed.run("imaging-status", "-q", "1-3")
    assert (done.returncode, done.stdout) == (1, "")
    assert "fit02" in done.stderr
    assert "fit01" not in done.stderr
    for option in ("-v", "-c"):
        assert testbed.run("imaging-status", "-q", option, "1").returncode == 2


def test_nodes_are_switched_on_one_after_the_other_when_the_site_wants_it(
    testbed: Commands,
) -> None:
    testbed.run("imaging-off", "1-3")
    with testbed.setting("[power]\n", "[power]\nstagger_s = 0.4\n"):
        done, seconds = testbed.timed("imaging-on", "1-3")
        assert done.stdout == "fit01: on\nfit02: on\nfit03: on\n"
        assert seconds > 0.8
        _, seconds = testbed.timed("imaging-status", "1-5")
        assert seconds < 1.6  # five turns are for those that draw power


def test_json(testbed: Commands) -> None:
    with testbed.unreachable("fit02", "cmc"):
        done = testbed.run("imaging-status", "--json", "1-2")
    assert done.returncode == 1
    fine, failed = json.loads(done.stdout)
    assert fine == {"node": "fit01", "ok": True, "answer": "on", "reason": None, "message": None}
    assert (failed["ok"], failed["answer"], failed["reason"]) == (False, None, "no-cmc")


def test_a_dry_run_asks_nobody(testbed: Commands) -> None:
    before = testbed.card_requests()
    done = testbed.run("imaging-off", "--dry-run", "-a")
    assert done.returncode == 0
    assert "would tell off" in done.stdout
    assert testbed.card_requests() == before


@pytest.mark.parametrize("verb", ["status", "on", "off", "reset", "info"])
def test_bad_input_is_refused_before_any_card_is_asked(testbed: Commands, verb: str) -> None:
    before = testbed.card_requests()
    for arguments in (["99"], [], ["-t", "0", "1"], ["~1"]):
        done = testbed.run(f"imaging-{verb}", *arguments)
        assert done.returncode == 2
        assert done.stdout == ""
    assert testbed.card_requests() == before


def test_each_verb_helps_with_two_examples(testbed: Commands) -> None:
    for verb in ("status", "on", "off", "reset", "info"):
        told = testbed.run(f"imaging-{verb}", "--help").stdout
        assert told.count(f"  imaging-{verb} ") >= 2
        assert testbed.run("imaging", verb, "--help").stdout.count(f"imaging-{verb} ") >= 2


def test_the_timeout_is_hard(testbed: Commands) -> None:
    with testbed.setting("attempts = 2", "attempts = 100"), testbed.unreachable("fit02", "cmc"):
        done, elapsed = testbed.timed("imaging-status", "-t", "1", "1-2")
    assert done.returncode == 1
    assert elapsed < 1.8
    assert "fit02: KO (timeout: not done within 1 s)" in done.stdout


def test_a_signal_ends_it(testbed: Commands) -> None:
    with testbed.setting("attempts = 2", "attempts = 100"), testbed.unreachable("fit02", "cmc"):
        process = testbed.start("imaging-status", "-v", "1-2")
        assert process.stderr is not None
        while "fit01: power done" not in process.stderr.readline():
            pass
        process.send_signal(signal.SIGTERM)
        out, _ = process.communicate(timeout=5)
    assert process.returncode == 1
    assert "fit02: KO (interrupted: interrupted by SIGTERM)" in out


def test_nodes_are_selected_by_their_power(testbed: Commands) -> None:
    testbed.order("fit02", "off")
    assert testbed.run("imaging-nodes", "--on", "1-3").stdout == "fit01\nfit03\n"
    assert testbed.run("imaging-nodes", "--off", "1-3").stdout == "fit02\n"
    export = testbed.run("imaging-nodes", "--on", "--export", "1-3")
    assert (export.returncode, export.stdout) == (0, "export NODES='fit01 fit03'\n")
    assert testbed.run("imaging-nodes", "--export", "1,3").stdout == "export NODES='fit01 fit03'\n"
    none = testbed.run("imaging-nodes", "--off", "--export", "1")
    assert (none.returncode, none.stdout) == (0, "export NODES=''\n")


def test_a_card_that_does_not_answer_is_told_beside_the_selection(testbed: Commands) -> None:
    with testbed.unreachable("fit02", "cmc"):
        done = testbed.run("imaging-nodes", "--on", "1-3")
    assert done.returncode == 1
    assert done.stdout == "fit01\nfit03\n"
    assert done.stderr.startswith("fit02: FAILED at power (no-cmc): ")


@contextmanager
def frozen(testbed: Commands) -> Iterator[None]:
    """The cards accept connections and never answer, for a while."""
    process = int((testbed.directory / "testbed.pid").read_text())
    os.kill(process, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(process, signal.SIGCONT)


def test_what_the_timeout_cuts_off_is_named_beside_the_selection(testbed: Commands) -> None:
    with frozen(testbed):
        done = testbed.run("imaging-nodes", "--on", "--export", "-t", "1", "1-2")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.count("FAILED at power (timeout): not done within 1 s") == 2


@pytest.mark.parametrize("shell", ["bash", "sh"])
def test_without_any_answer_nodes_stay_as_they_were(testbed: Commands, shell: str) -> None:
    profile = Path(__file__).parent.parent / "etc/profile.d/imaging.sh"
    script = f'. {profile}\nNODES="fit01 fit02"\nfocus-nodes-on\necho "$? $NODES"\n'
    quick = testbed.setting("attempts = 2", "attempts = 1\ntimeout_s = 1")
    with quick, frozen(testbed):
        done = testbed.run(shell, "-c", script)
    assert done.stdout == "1 fit01 fit02\n"


def test_on_and_off_exclude_each_other(testbed: Commands) -> None:
    done = testbed.run("imaging-nodes", "-a", "--on", "--off")
    assert done.returncode == 2
    assert "exclude each other" in done.stderr


@pytest.mark.parametrize(
    "command",
    [
        "imaging-status 1-3",
        "imaging-wait -t 5 1",
        "imaging-save --dry-run -o x 1",
        "imaging-nodes 1",
    ],
)
def test_a_reader_that_has_gone_is_no_error(testbed: Commands, command: str) -> None:
    """The exit code is that of the run, and nothing is said: `| head -1` has heard enough."""
    testbed.run("imaging-load", "-q", "--wait", "-i", "sample", "1")
    script = f"exec 3>&1; {{ {command}; echo $? >&3; }} | true"
    done = testbed.run("bash", "-c", script)
    assert (done.stdout, done.stderr) == ("0\n", "")


@pytest.mark.parametrize(
    "command", ["imaging-status 1", "imaging-nodes 1", "imaging-list", "imaging-wait -t 0.6 1"]
)
def test_an_output_that_is_full_is_told(testbed: Commands, command: str) -> None:
    done = testbed.run("sh", "-c", f"exec {command} >/dev/full")
    assert done.returncode == 1
    assert "cannot write the output: No space left on device" in done.stderr
    assert "Traceback" not in done.stderr
    assert "Exception ignored" not in done.stderr


def test_the_timeout_counts_from_the_command_and_not_from_its_process(testbed: Commands) -> None:
    done = testbed.run("sh", "-c", "sleep 1.5; exec imaging-status -t 1.2 1")
    assert (done.returncode, done.stdout) == (0, "fit01: on\n")
