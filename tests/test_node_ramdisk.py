"""What is asked of the ramdisk is quoted; what it answers is read with suspicion."""

import shlex
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imaging.node.ramdisk import Inspection, client_script, inspection_script, parse_inspection


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
