"""Processes that are measured, and their end."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.bench.processes import BenchError, processes
from tests.bench.statistics import Sample, Usage
from tests.bench.turns import Case, take_turns
from tests.commands import is_running, wait_for


def python(text: str) -> list[str]:
    return [sys.executable, "-I", "-c", text]


def test_what_a_process_takes_is_told(tmp_path: Path) -> None:
    work = "import time; x = bytearray(100 << 20)\nwhile time.process_time() < 0.2: pass"
    # in a process of its own: the memory of the one that starts it counts, and pytest may be large
    measure = (
        "import sys; from pathlib import Path; from tests.bench.processes import processes\n"
        "with processes(Path(sys.argv[1])) as group:\n"
        "    usage = group.wait(group.start('worker', sys.argv[2:]))\n"
        "print(usage.cpu_s, usage.peak_bytes)"
    )
    done = subprocess.run(
        [sys.executable, "-c", measure, tmp_path, *python(work)],
        cwd=Path(__file__).parent.parent,
        capture_output=True,
        text=True,
        check=True,
    )
    cpu_s, peak_bytes = done.stdout.split()
    assert 0.2 <= float(cpu_s) < 2
    assert 100 << 20 <= int(peak_bytes) < 400 << 20


def test_a_failure_is_told_in_the_processs_own_words(tmp_path: Path) -> None:
    with processes(tmp_path) as group:
        fail = "import sys; sys.stderr.write('no disk'); sys.exit(3)"
        worker = group.start("worker", python(fail))
        with pytest.raises(BenchError, match=r"worker ended with status 3: no disk"):
            group.wait(worker)


def test_a_process_that_does_not_end_is_told_and_ended(tmp_path: Path) -> None:
    with processes(tmp_path) as group:
        sleeper = group.start("sleeper", python("import time; time.sleep(60)"))
        with pytest.raises(BenchError, match=r"sleeper did not end within 0\.1 s"):
            group.wait(sleeper, 0.1)
    assert not is_running(sleeper.process.pid)


def test_nothing_is_left_behind_whatever_happens(tmp_path: Path) -> None:
    parent = (
        "import subprocess, sys, time\n"
        "child = subprocess.Popen(['sleep', '60'])\n"
        "sys.stderr.write(f'child {child.pid};'); sys.stderr.flush()\n"
        "time.sleep(60)"
    )

    def run() -> None:
        with processes(tmp_path) as group:
            started = group.start("parent", python(parent))
            group.wait_for_words(started, ";")
            ids.append(started.process.pid)
            ids.append(int(started.words_said().split()[1].rstrip(";")))
            raise KeyboardInterrupt

    ids: list[int] = []
    with pytest.raises(KeyboardInterrupt):
        run()
    assert len(ids) == 2
    wait_for(lambda: not any(is_running(process) for process in ids))


def test_a_server_is_stopped_and_measured(tmp_path: Path) -> None:
    with processes(tmp_path) as group:
        ignoring = (
            "import signal, sys, time; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
            "sys.stderr.write('deaf'); sys.stderr.flush(); time.sleep(60)"
        )
        for text, word in [("import time; time.sleep(60)", ""), (ignoring, "deaf")]:
            server = group.start("server", python(text))
            group.wait_for_words(server, word)
            assert group.stop(server).cpu_s < 5


def test_cases_take_turns_and_a_failed_one_is_left_out() -> None:
    order: list[str] = []

    def case(name: str, fails_at: int = -1) -> Case[Sample]:
        def run() -> Sample:
            order.append(name)
            if order.count(name) == fails_at:
                raise BenchError("the output is wrong")
            return Sample(float(len(order)), {"tool": Usage(0.0, 0)})

        return Case(name, run)

    said: list[str] = []
    turns = take_turns([case("a"), case("b", fails_at=2), case("c")], 2, said.append)
    assert "".join(order) == "abcabcac"
    assert turns.failures == {"b": "the output is wrong"}
    # the warm-up is not counted
    assert {name: [s.wall_s for s in found] for name, found in turns.samples.items()} == {
        "a": [4.0, 7.0],
        "c": [6.0, 8.0],
    }
    assert any("b: FAILED: the output is wrong" in line for line in said)
