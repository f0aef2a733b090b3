"""What is asked of the ramdisk is quoted; what it answers is read with suspicion."""

import itertools
import shlex
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imaging.node.ramdisk import (
    Inspection,
    SaveOutput,
    client_script,
    inspection_script,
    parse_inspection,
    save_script,
)


@pytest.mark.parametrize(
    ("output", "inspection"),
    [
        ("uptime 12.34 45.67\nbytes 1000\n", Inspection(12.34, 1000)),
        ("uptime 12.34 45.67\nsectors 3\n", Inspection(12.34, 1536)),
        ("uptime 7 9\n", Inspection(7.0, None)),
        ("uptime\n", Inspection(None, None)),
        ("bytes 0\n", Inspection(None, None)),
        ("cat: no such file\nuptime 1.0\nnoise bytes 5\nbytes x\n", Inspection(1.0, None)),
        ("bytes 99999999999999999999999\n", Inspection(None, None)),
        ("", Inspection(None, None)),
    ],
)
def test_answers(output: str, inspection: Inspection) -> None:
    assert parse_inspection(output) == inspection


@given(st.text())
def test_any_answer_is_read(output: str) -> None:
    inspection = parse_inspection(output)
    assert inspection.disk_size is None or inspection.disk_size > 0


def test_a_real_shell_answers(tmp_path: Path) -> None:
    # a device of its own kind: blockdev refuses, and /sys has no such name
    answer = subprocess.run(
        ["sh", "-c", inspection_script(str(tmp_path / "it's; exit 9"))],
        capture_output=True,
        text=True,
        check=True,
    )
    inspection = parse_inspection(answer.stdout)
    assert inspection.uptime_s is not None
    assert inspection.disk_size is None


@given(st.text(min_size=1).filter(lambda text: "\0" not in text))
def test_the_client_gets_its_words_unharmed(disk: str) -> None:
    script = client_script(
        ["frisbee", "--opt=a b"], address="10.0.0.1", group="239.1.2.3", port=7000, disk=disk
    )
    words = ["frisbee", "--opt=a b", "-i", "10.0.0.1", "-m", "239.1.2.3", "-p", "7000", disk]
    assert shlex.split(script) == words


def run_save(tmp_path: Path, imagezip: str, netcat: str) -> SaveOutput:
    """Run the pipe of two shell commands in a real shell, its console a pipe."""
    for name, text in (("zip", imagezip), ("net", netcat)):
        (tmp_path / name).write_text(text)
    script = save_script(
        ["sh", str(tmp_path / "zip")],
        ["sh", str(tmp_path / "net")],
        "busybox",
        disk="it's a disk",
        address="10.0.0.1",
        port=7,
    )
    done = subprocess.run(
        ["sh", "-c", script], capture_output=True, text=True, cwd=tmp_path, check=True
    )
    output = SaveOutput()
    output.feed(done.stdout)
    return output


def test_every_command_of_the_pipe_tells_its_status(tmp_path: Path) -> None:
    output = run_save(
        tmp_path,
        'echo "$1" "$2" >zip.words; echo data; echo "Image size: 5 bytes" >&2; exit 3',
        'echo "$1" "$2" >net.words; cat >data; echo chatter; exit 4',
    )
    assert output.statuses == {"imagezip": 3, "netcat": 4}
    assert (tmp_path / "zip.words").read_text() == "it's a disk -\n"
    assert (tmp_path / "net.words").read_text() == "10.0.0.1 7\n"
    assert (tmp_path / "data").read_text() == "data\n"


@pytest.mark.parametrize(("flavour", "options"), [("busybox", []), ("openbsd", ["-N"])])
def test_each_netcat_is_told_how_to_end(flavour: str, options: list[str]) -> None:
    script = save_script(
        ["imagezip", "-z1"], ["nc"], flavour, disk="/dev/sda", address="10.0.0.1", port=7
    )
    assert f"{{ {shlex.join(['nc', *options, '10.0.0.1', '7'])};" in script


TOLD = (
    "  Slice 2 is unused, NOT SAVING.\r\n..\r\n"
    "60024832 input (12687360 compressed) bytes in 0.125 seconds\r\n"
    "Image size: 2097152 bytes\r\n96.797MB/second compressed\r\nFinished in 0.126 seconds\r\n"
    "\r\npipe imagezip 0.\r\nnc: a word\r\n\r\npipe netcat 1."
)


@given(st.lists(st.integers(0, len(TOLD))))
def test_output_is_read_however_it_is_cut(cuts: list[int]) -> None:
    output = SaveOutput()
    places = [0, *sorted(cuts), len(TOLD)]
    for start, end in itertools.pairwise(places):
        output.feed(TOLD[start:end])
    assert (output.size, output.statuses) == (2097152, {"imagezip": 0, "netcat": 1})
    assert output.last_words == "nc: a word"


def test_a_status_is_read_after_words_without_an_end() -> None:
    """As bash writes it: its newline first, then what netcat says meanwhile, then the rest."""
    output = SaveOutput()
    output.feed("\nnc: a wordpipe imagezip 0.\n\npipe netcat 1.")
    assert output.statuses == {"imagezip": 0, "netcat": 1}
    assert output.last_words == "nc: a word"


@given(st.lists(st.text()))
def test_any_output_of_the_tools_is_read(pieces: list[str]) -> None:
    output = SaveOutput()
    for piece in pieces:
        output.feed(piece)
    assert len(output.last_words) <= 3 * 203
