"""imaging-save as its users meet it: the installed command against a running virtual testbed."""

import getpass
import hashlib
import json
import os
import re
import shlex
import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.commands import Commands, processes_of, sha256, wait_for
from tests.saves import IMAGEZIP, images_of, load_a_disk_worth_saving, names, sending

pytestmark = pytest.mark.e2e


@pytest.fixture
def images(testbed: Commands) -> Iterator[Path]:
    with images_of(testbed) as folder:
        yield folder


@pytest.fixture(scope="module", autouse=True)
def loaded(shared_testbed: Commands) -> None:
    load_a_disk_worth_saving(shared_testbed)


def covered(disk: Path, size: int) -> str:
    """The sha256 of the beginning of a disk."""
    with disk.open("rb") as stream:
        return hashlib.sha256(stream.read(size)).hexdigest()


def test_a_saved_image_loads_onto_other_nodes_with_identical_content(
    testbed: Commands, images: Path
) -> None:
    with testbed.disk("fit01").open("r+b") as disk:
        disk.seek(5 * 1024 * 1024 + 77)
        disk.write(os.urandom(300_000))
    saved = testbed.run("imaging-save", "-o", "mine", "--comment", "it's $(mine)", "fit01")
    assert saved.returncode == 0, saved.stderr
    assert "fit01 saved in " in saved.stdout
    assert testbed.links() == []
    image = images / "mine.ndz"
    told = json.loads((images / "mine.json").read_text())
    assert told["sha256"] == sha256(image)
    assert told["size"] == image.stat().st_size
    assert (told["node"], told["user"]) == ("fit01", getpass.getuser())
    assert (told["comment"], told["format_version"]) == ("it's $(mine)", 1)
    assert told["date"].endswith("Z")
    loaded = testbed.run("imaging-load", "-i", "mine", "2-5")
    assert loaded.returncode == 0, loaded.stderr
    expected = covered(testbed.disk("fit01"), told["covered_bytes"])
    for name in ("fit02", "fit03", "fit04", "fit05"):
        assert covered(testbed.disk(name), told["covered_bytes"]) == expected, name


def test_the_node_boots_from_its_disk_again(testbed: Commands, images: Path) -> None:
    assert testbed.run("imaging-save", "-o", "again", "1").returncode == 0
    wait_for(lambda: testbed.state("fit01") == "system")


def test_progress_is_that_of_the_disk(testbed: Commands, images: Path) -> None:
    # 24 MiB of a disk of 48 have content, in 10 chunks; the last 4 are late
    late = "sh -c 'imagezip \"$@\" | (head -c 6291456; sleep 1.2; cat)' -"
    with testbed.setting(IMAGEZIP, f"imagezip = {late} -z1"):
        done = testbed.run("imaging-save", "-o", "progress", "1")
    assert done.returncode == 0, done.stdout
    told = [line.split(" ", 1)[1] for line in done.stderr.splitlines()]
    assert any(re.match(r"transfer: [1-9]\d %, \d+\.\d MiB/s, \d+ s left$", line) for line in told)
    assert any(line.startswith("transfer: 1/1 nodes, ") for line in told)


def test_without_reset_the_node_stays_in_the_ramdisk(testbed: Commands, images: Path) -> None:
    testbed.boot_ramdisk("fit01")
    before = testbed.card_requests()
    done = testbed.run("imaging-save", "-n", "-q", "-o", "still", "fit01")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert testbed.card_requests() == before
    assert testbed.state("fit01") == "ramdisk"
    assert {"still.json", "still.ndz"} <= set(names(images))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["-o", "new", "1-2"], "only one node can be saved, not 2 (fit01 fit02)"),
        (["-o", "new"], "no node selected"),
        (["-o", "new", "99"], "'99' is not a node"),
        (["1"], "--output"),
        (["-o", "sample", "1"], "is there already (--force replaces it)"),
        (["-o", "sample.ndz", "1"], "is there already"),
        (["-o", "my image", "1"], "cannot be the name of an image"),
        (["-o", "../escape", "1"], "cannot be the name of an image"),
        (["-o", "$(touch x)", "1"], "cannot be the name of an image"),
        (["-o", ".hidden", "1"], "cannot be the name of an image"),
        (["-o", "alias", "--force", "1"], "is an alias of sample.ndz, and is kept"),
        (["-o", "folder", "--force", "1"], "is no regular file"),
        (["-o", "new", "--comment", "x" * 2001, "1"], "more than 2000"),
        (["-o", "new", "-t", "-1", "1"], "-t"),
    ],
)
def test_bad_input_is_refused_before_the_node_is_touched(
    testbed: Commands, images: Path, arguments: list[str], words: str
) -> None:
    (images / "alias.ndz").symlink_to("sample.ndz")
    (images / "folder.ndz").mkdir()
    before, requests = names(images), testbed.requests()
    done = testbed.run("imaging-save", *arguments)
    (images / "folder.ndz").rmdir()
    assert done.returncode == 2
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    assert testbed.requests() == requests
    assert names(images) == [name for name in before if name != "folder.ndz"]


def test_a_dry_run_touches_nothing(testbed: Commands, images: Path) -> None:
    before, requests = names(images), testbed.requests()
    done = testbed.run("imaging-save", "--dry-run", "-o", "new", "1")
    assert done.returncode == 0
    assert "would save fit01 as new" in done.stdout
    assert (names(images), testbed.requests()) == (before, requests)


def test_a_directory_that_is_not_there_is_told(testbed: Commands) -> None:
    with testbed.setting("directory = images", "directory = images\nprivate = nowhere"):
        done = testbed.run("imaging-save", "-o", "new", "1")
    assert done.returncode == 2
    assert "nowhere does not exist" in done.stderr


def test_a_private_directory_gets_the_image(testbed: Commands, images: Path) -> None:
    private = testbed.directory / "private"
    private.mkdir()
    with testbed.setting("directory = images", "directory = images\nprivate = private"):
        done = testbed.run("imaging-save", "-o", "new", "1")
        taken = testbed.run("imaging-save", "-o", "sample", "--force", "1")
        loaded = testbed.run("imaging-load", "-i", "new", "2")
    assert done.returncode == 0, done.stderr
    assert names(private) == ["new.json", "new.ndz"]
    assert "new.ndz" not in names(images)
    assert taken.returncode == 2
    assert "images/sample.ndz is there already, and would be taken for sample first" in taken.stderr
    assert loaded.returncode == 0, loaded.stderr


def test_an_image_is_replaced_only_by_a_complete_one(testbed: Commands, images: Path) -> None:
    assert testbed.run("imaging-save", "-o", "kept", "1").returncode == 0
    before = (images / "kept.ndz").read_bytes(), (images / "kept.json").read_bytes()
    with testbed.setting(IMAGEZIP, "imagezip = false"):
        failed = testbed.run("imaging-save", "--force", "-o", "kept", "1")
    assert failed.returncode == 1
    assert before == ((images / "kept.ndz").read_bytes(), (images / "kept.json").read_bytes())
    replaced = testbed.run("imaging-save", "--force", "--comment", "new", "-o", "kept", "1")
    assert replaced.returncode == 0, replaced.stdout
    assert json.loads((images / "kept.json").read_text())["comment"] == "new"


def test_a_file_system_that_is_full_is_told(testbed: Commands, images: Path) -> None:
    # the limit on a file's size stands for the limit of the disk: both come from write(2)
    before = names(images)
    done = testbed.run("sh", "-c", "ulimit -f 4000; exec imaging-save -o full 1")
    assert done.returncode == 1
    assert "(store-failed): cannot write " in done.stdout
    assert "File too large" in done.stdout
    assert names(images) == before
    assert testbed.links() == []
    wait_for(lambda: testbed.state("fit01") == "system")


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small file system needs root")
def test_a_disk_that_is_full_is_told(testbed: Commands, images: Path) -> None:
    small = testbed.directory / "small"
    small.mkdir()
    mounted = testbed.run("mount", "-t", "tmpfs", "-o", "size=2m", "none", small)
    if mounted.returncode != 0:
        pytest.skip(f"cannot mount here: {mounted.stderr.strip()}")
    try:
        with testbed.setting("directory = images", "directory = images\nprivate = small"):
            done = testbed.run("imaging-save", "-o", "full", "1")
        assert done.returncode == 1
        assert "(store-failed): cannot write " in done.stdout
        assert "No space left on device" in done.stdout
        assert names(small) == []
    finally:
        assert testbed.run("umount", small).returncode == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_in_the_middle_leaves_nothing(
    testbed: Commands, images: Path, number: signal.Signals
) -> None:
    before = names(images)
    stuck = sending(images / "sample.ndz", through=" | (head -c 3000000; exec sleep 60)")
    with testbed.setting(IMAGEZIP, stuck):
        process = testbed.start("imaging-save", "-o", "stuck", "1")
        partial = images / ".stuck.ndz.partial"
        wait_for(lambda: partial.exists() and partial.stat().st_size > 0)
        process.send_signal(number)
        stopped = time.monotonic()
        out, _ = process.communicate(timeout=10)
    assert time.monotonic() - stopped < 1
    assert process.returncode == 1
    assert f"(interrupted): interrupted by {number.name}" in out
    assert names(images) == before
    assert testbed.links() == []


def test_a_save_that_is_cut_short_sends_its_node_back(testbed: Commands, images: Path) -> None:
    """Whatever ends it, the disk was only read, and the node was ours to give back."""
    stuck = testbed.setting(IMAGEZIP, "imagezip = sh -c 'exec sleep 60'")
    with stuck:
        process = testbed.start("imaging-save", "-o", "cut", "1")
        wait_for(lambda: testbed.state("fit01") == "ramdisk")
        process.send_signal(signal.SIGTERM)
        out, _ = process.communicate(timeout=10)
        assert "it was reset, to boot from its disk again" in out
        wait_for(lambda: testbed.state("fit01") == "system")
        late = testbed.run("imaging-save", "-t", "2", "-o", "cut", "1")
        assert "(timeout)" in late.stdout
        wait_for(lambda: testbed.state("fit01") == "system")
    with (
        testbed.setting("timeout_s = 30", "timeout_s = 0.5"),
        testbed.setting("port = 2323", "port = 2324"),
    ):
        never = testbed.run("imaging-save", "-o", "cut", "1")
    assert "FAILED at boot (no-telnet)" in never.stdout
    wait_for(lambda: testbed.state("fit01") == "system")


def test_a_signal_while_the_node_is_sent_back_does_not_leave_it(
    testbed: Commands, images: Path
) -> None:
    with testbed.setting(IMAGEZIP, "imagezip = sh -c 'sleep 1; exit 1'"):
        process = testbed.start("imaging-save", "-o", "back", "1")
        wait_for(lambda: testbed.state("fit01") == "ramdisk" and testbed.links() == [])
        testbed.set_fault("fit01", cmc="hang*1")
        wait_for(lambda: testbed.fault("fit01", "cmc") == "")
        assert testbed.state("fit01") == "ramdisk"
        process.send_signal(signal.SIGTERM)
        stopped = time.monotonic()
        out, _ = process.communicate(timeout=10)
    assert time.monotonic() - stopped < 1
    assert process.returncode == 1
    assert "it was reset, to boot from its disk again" in out
    wait_for(lambda: testbed.state("fit01") == "system")


def test_where_the_image_is_is_told_before_the_last_reset(testbed: Commands, images: Path) -> None:
    done = testbed.run("imaging-save", "-o", "there", "1")
    assert f"fit01: saved as {images}/there.ndz" in done.stderr


def test_a_comment_that_is_no_text_is_refused(testbed: Commands, images: Path) -> None:
    before, requests = names(images), testbed.requests()
    done = testbed.run("sh", "-c", "imaging-save -o new --comment \"$(printf 'caf\\351')\" 1")
    assert done.returncode == 2
    assert "--comment: the text is not UTF-8" in done.stderr
    assert (names(images), testbed.requests()) == (before, requests)


def test_an_address_that_is_not_ours_is_refused_before_the_reset(
    testbed: Commands, images: Path
) -> None:
    requests = testbed.requests()
    own = testbed.setting_value("address")
    with testbed.setting(f"address = {own}", "address = 192.0.2.1"):
        for command in (["imaging-save", "-o", "new", "1"], ["imaging-load", "-i", "sample", "1"]):
            done = testbed.run(*command)
            assert done.returncode == 2
            assert "192.0.2.1 is no address of this host" in done.stderr
    assert testbed.requests() == requests


def test_the_timeout_is_hard(testbed: Commands, images: Path) -> None:
    before = names(images)
    with testbed.setting(IMAGEZIP, "imagezip = sh -c 'exec sleep 60'"):
        done, elapsed = testbed.timed("imaging-save", "-t", "2", "-o", "late", "1")
    assert done.returncode == 1
    assert 1.5 <= elapsed <= 3
    assert "fit01: FAILED at transfer (timeout)" in done.stdout
    assert names(images) == before
    assert processes_of("imaging-save", testbed.directory) == []


def test_a_second_save_of_the_same_name_is_told_that_it_is_busy(
    testbed: Commands, images: Path
) -> None:
    stuck = sending(images / "sample.ndz", through=" | (head -c 3000000; exec sleep 60)")
    with ExitStack() as stack:
        stack.enter_context(testbed.setting(IMAGEZIP, stuck))
        first = stack.enter_context(testbed.start("imaging-save", "-o", "same", "1"))
        stack.callback(first.terminate)
        partial = images / ".same.ndz.partial"
        wait_for(lambda: partial.exists() and partial.stat().st_size > 0)
        requests = testbed.card_requests()
        second = testbed.run("imaging-save", "-o", "same", "2")
        assert second.returncode == 1
        assert "fit02: FAILED (busy): somebody is saving same.ndz now" in second.stdout
        assert testbed.card_requests() == requests
    assert names(images).count(".same.ndz.partial") == 0


def test_what_a_killed_save_has_left_does_not_disturb_the_next(
    testbed: Commands, images: Path
) -> None:
    left = images / ".new.ndz.partial"
    left.write_bytes(b"left by somebody who is dead" * 100_000)
    assert testbed.run("imaging-save", "-o", "new", "1").returncode == 0
    assert not left.exists()
    assert sha256(images / "new.ndz") == json.loads((images / "new.json").read_text())["sha256"]


def test_the_settings_own_words_are_quoted_for_the_nodes_shell(
    testbed: Commands, images: Path
) -> None:
    trap = testbed.directory / "touched"
    words = shlex.quote(f"$(touch {trap});`touch {trap}`")
    with testbed.setting(IMAGEZIP, f"imagezip = echo {words}"):
        done = testbed.run("imaging-save", "-o", "quoted", "1")
    assert done.returncode == 1
    assert not trap.exists()
