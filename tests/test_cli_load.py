"""imaging-load as its users meet it: the installed command against a running virtual testbed."""

import os
import re
import signal
import time

import pytest

from tests.commands import Commands, processes_of, sha256, wait_for

pytestmark = pytest.mark.e2e


def test_load_puts_the_image_on_every_disk(testbed: Commands) -> None:
    expected = testbed.expected_disk()
    done = testbed.run("imaging-load", "-i", "sample", "1-3")
    assert done.returncode == 0, done.stderr
    assert re.search(r"^imaging-load: 3 of 3 nodes done in \d+\.\d s$", done.stdout, re.MULTILINE)
    for name in ("fit01", "fit02", "fit03"):
        assert sha256(testbed.disk(name)) == expected, name
    assert testbed.links() == []
    assert processes_of("imaging-frisbeed", testbed.directory) == []


def test_off_a_terminal_there_is_a_line_per_milestone(testbed: Commands) -> None:
    done = testbed.run("imaging-load", "-i", "sample", "1-2")
    told = [line.split(" ", 1)[1] for line in done.stderr.splitlines()]
    assert told[0].startswith("load sample (")
    for step in ("nextboot", "power", "boot", "check", "transfer", "restart"):
        assert any(line.startswith(f"{step}: 2/2 nodes") for line in told), step
    assert "\r" not in done.stderr
    assert "\x1b" not in done.stderr


def test_the_log_has_a_line_per_event_with_run_and_node(testbed: Commands) -> None:
    log = testbed.directory / "imaging.log"
    log.unlink(missing_ok=True)
    assert testbed.run("imaging-load", "-q", "-i", "sample", "fit01").returncode == 0
    lines = log.read_text().splitlines()
    assert {line.split()[2] for line in lines} == {lines[0].split()[2]}
    assert any(re.search(r" INFO fit01 transfer done in ", line) for line in lines)
    assert lines[-1].endswith(" INFO fit01 ok")


def test_verbose_and_quiet(testbed: Commands) -> None:
    verbose = testbed.run("imaging-load", "-v", "-i", "sample", "1")
    assert "fit01: boot done in " in verbose.stderr
    quiet = testbed.run("imaging-load", "-q", "-i", "sample", "1")
    assert (quiet.returncode, quiet.stdout, quiet.stderr) == (0, "", "")


def test_a_dry_run_touches_nothing(testbed: Commands) -> None:
    before = testbed.requests()
    done = testbed.run("imaging-load", "--dry-run", "-i", "sample", "1-2")
    assert done.returncode == 0, done.stderr
    assert "would load sample" in done.stdout
    assert "fit02" in done.stdout
    assert testbed.requests() == before


def test_without_reset_a_node_in_the_ramdisk_is_loaded_and_stays_there(testbed: Commands) -> None:
    testbed.boot_ramdisk("fit01")
    before = testbed.card_requests()
    done = testbed.run("imaging-load", "-n", "-i", "sample", "fit01")
    assert done.returncode == 0, done.stderr
    assert testbed.card_requests() == before
    assert testbed.state("fit01") == "ramdisk"
    assert sha256(testbed.disk("fit01")) == testbed.expected_disk()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["-i", "nosuch", "1"], "no image 'nosuch'"),
        (["-i", "../images/x", "1"], "does not exist"),
        (["-i", "bad;name", "1"], "cannot be the name of an image"),
        (["-i", "truncated", "1"], "truncated.ndz"),
        (["-i", "malformed", "1"], "malformed.ndz"),
        (["-i", "", "1"], "cannot be the name of an image"),
        (["-i", "sample", "--wait", "-n", "1"], "exclude"),
        (["-i", "sample", "99"], "99"),
        (["-i", "sample", "3-1"], "3-1"),
        (["sample"], "'sample' is not a node. Did you mean -i sample?"),
        (["-i", "sample"], "NODES"),
        (["-i", "sample", "-t", "0", "1"], "-t"),
        (["-i", "sample", "-q", "-v", "1"], "exclude"),
    ],
)
def test_bad_input_is_refused_before_any_node_is_touched(
    testbed: Commands, arguments: list[str], words: str
) -> None:
    images = testbed.directory / "images"
    sample = (images / "sample.ndz").read_bytes()
    (images / "truncated.ndz").write_bytes(sample[:-1000])
    (images / "malformed.ndz").write_bytes(b"\0" * 1048576)
    before = testbed.requests()
    done = testbed.run("imaging-load", *arguments)
    assert done.returncode == 2
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    assert testbed.requests() == before
    assert testbed.links() == []


def test_two_equal_macs_are_refused_before_any_node_is_touched(testbed: Commands) -> None:
    inventory = testbed.directory / "inventory.json"
    first, second = (testbed.interface(name, "control")["mac"] for name in ("fit01", "fit02"))
    before, text = testbed.requests(), inventory.read_text()
    inventory.write_text(text.replace(second, first.upper()))
    try:
        done = testbed.run("imaging-load", "-i", "sample", "3")
    finally:
        inventory.write_text(text)
    assert done.returncode == 2
    assert first in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert testbed.requests() == before


def test_a_missing_tool_is_refused(testbed: Commands) -> None:
    with testbed.setting("server = imaging-frisbeed", "server = no-such-tool"):
        done = testbed.run("imaging-load", "-i", "sample", "1")
    assert done.returncode == 2
    assert "'no-such-tool' of [multicast] server is not found" in done.stderr


def test_a_missing_ramdisk_config_is_refused(testbed: Commands) -> None:
    with testbed.setting("ramdisk = pxefrisbee", "ramdisk = missing"):
        done = testbed.run("imaging-load", "-i", "sample", "1")
    assert done.returncode == 2
    assert "the ramdisk's config" in done.stderr


def test_somebodys_file_at_the_links_place_is_refused_and_kept(testbed: Commands) -> None:
    place = testbed.link_place("fit01")
    place.write_text("somebody's")
    before = testbed.requests()
    try:
        done = testbed.run("imaging-load", "-i", "sample", "1-2")
        assert done.returncode == 2
        assert "regular file" in done.stderr
        assert place.read_text() == "somebody's"
        assert testbed.requests() == before
    finally:
        place.unlink()


def test_the_timeout_is_hard_and_names_the_node_that_never_came(testbed: Commands) -> None:
    with testbed.unreachable("fit02", "control"):
        done, elapsed = testbed.timed("imaging-load", "-t", "3", "-i", "sample", "1-3")
    assert done.returncode == 1
    assert 2.5 <= elapsed <= 3.5
    lines = done.stdout.splitlines()
    assert lines[0].startswith("fit02: FAILED at boot (timeout)")
    assert lines[-1].startswith("imaging-load: 2 of 3 nodes done, 1 failed")
    assert testbed.links() == []
    assert processes_of("imaging-frisbeed", testbed.directory) == []


def test_a_dead_card_fails_its_node_and_delays_nobody(testbed: Commands) -> None:
    with testbed.unreachable("fit02", "cmc"):
        done = testbed.run("imaging-load", "-i", "sample", "1-3")
    assert done.returncode == 1
    assert done.stdout.splitlines()[0].startswith("fit02: FAILED at power (no-cmc): its CMC")
    assert "2 of 3 nodes done" in done.stdout
    assert testbed.links() == []


def test_a_disk_that_is_too_small_is_told_before_the_transfer(testbed: Commands) -> None:
    disk = testbed.disk("fit01")
    size = disk.stat().st_size
    os.truncate(disk, 1024 * 1024)
    try:
        done = testbed.run("imaging-load", "-i", "sample", "1")
    finally:
        os.truncate(disk, size)
    assert done.returncode == 1
    assert "fit01: FAILED at check (disk-too-small)" in done.stdout


@pytest.mark.parametrize("client", ["no-such-client", "sh -c 'echo some last words; exit 3'"])
def test_a_client_that_fails_is_told_with_its_last_words(testbed: Commands, client: str) -> None:
    with testbed.setting("client = frisbee", f"client = {client}"):
        done = testbed.run("imaging-load", "-i", "sample", "1")
    assert done.returncode == 1
    assert "fit01: FAILED at transfer (frisbee-failed)" in done.stdout
    assert ("some last words" in done.stdout) or ("not found" in done.stdout)
    assert testbed.state("fit01") == "ramdisk"


def test_a_client_that_stalls_is_told(testbed: Commands) -> None:
    with (
        testbed.setting("client = frisbee", "client = sh -c 'exec sleep 60'"),
        testbed.setting("[multicast]", "[multicast]\njoin_timeout_s = 0.5"),
    ):
        done, elapsed = testbed.timed("imaging-load", "-i", "sample", "1")
    assert done.returncode == 1
    assert "fit01: FAILED at transfer (stalled)" in done.stdout
    assert elapsed < 10


def test_the_death_of_the_server_ends_the_run_with_its_words(testbed: Commands) -> None:
    server = testbed.directory / "dying-server"
    server.write_text(
        "#!/bin/sh\necho 'Using Multicast x' >&2\nsleep 0.3\necho dying now >&2\nexit 4\n"
    )
    server.chmod(0o755)
    with testbed.setting("server = imaging-frisbeed", f"server = {server}"):
        done = testbed.run("imaging-load", "-i", "sample", "1-2")
    assert done.returncode == 1
    assert "dying now" in done.stderr
    assert done.stdout.count("(server-died)") == 2
    assert testbed.links() == []


def test_a_server_that_does_not_start_is_told(testbed: Commands) -> None:
    with testbed.setting("server = imaging-frisbeed", "server = false"):
        done = testbed.run("imaging-load", "-i", "sample", "1-2")
    assert done.returncode == 1
    assert done.stdout.count("(server-failed)") == 2
    assert testbed.links() == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_removes_the_links_and_names_the_nodes(
    testbed: Commands, number: signal.Signals
) -> None:
    with testbed.unreachable("fit01", "control"):
        process = testbed.start("imaging-load", "-i", "sample", "1-2")
        wait_for(lambda: len(testbed.links()) > 0)
        process.send_signal(number)
        stopped = time.monotonic()
        out, _ = process.communicate(timeout=10)
    assert time.monotonic() - stopped < 1
    assert process.returncode == 1
    assert f"(interrupted): interrupted by {number.name}" in out
    assert testbed.links() == []
    assert processes_of("imaging-frisbeed", testbed.directory) == []


def test_closed_streams_are_no_error(testbed: Commands) -> None:
    done = testbed.run("sh", "-c", "imaging-load -i sample 1 2>&- >&-")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_with_wait_a_node_is_done_when_ssh_answers_on_its_new_system(testbed: Commands) -> None:
    done = testbed.run("imaging-load", "--wait", "-v", "-i", "sample", "1-2")
    assert done.returncode == 0, done.stderr
    assert re.search(r"fit01: ssh done in .*: ssh up \d+\.\d s after the reset", done.stderr)
    assert testbed.state("fit01") == testbed.state("fit02") == "system"


def test_with_wait_a_system_that_never_answers_is_told(testbed: Commands) -> None:
    with testbed.setting("port = 2222", "port = 2223\ntimeout_s = 1"):
        done = testbed.run("imaging-load", "--wait", "-i", "sample", "1")
    assert done.returncode == 1
    assert "fit01: FAILED at ssh (no-ssh): no ssh at 127." in done.stdout
    assert "connection refused" in done.stdout


def test_the_umbrella_runs_the_same_command(testbed: Commands) -> None:
    done = testbed.run("imaging", "load", "--dry-run", "-i", "sample", "1")
    assert (done.returncode, done.stderr) == (0, "")
