"""The ramdisk's own scripts use what the ramdisk has, and nothing else."""

import re
import shutil
import subprocess
from importlib.resources import files

import pytest

SCRIPTS = ("rcS", "ssh.prepare", "ssh.start", "telnet.start", "udhcpc.script")
OF_THE_SHELL = frozenset(
    ("break", "case", "continue", "do", "done", "echo", "else", "esac", "exec", "exit", "export",
     "fi", "for", "if", "in", "local", "printf", "read", "return", "shift", "then", "wait", "while")
)  # fmt: skip
BESIDE_BUSYBOX = frozenset({"dropbear", "dropbearkey", "inetutils-inetd"})
# what begins a command: a line, what joins two, and what runs its arguments
COMMAND = re.compile(
    r"(?:^|[|&;(]|\bdo\b|\bthen\b|\bexec\b|\bxargs\b|-exec)[ \t]*([a-z][a-z0-9-]*)\b(?!=|\(\)|\))",
    re.MULTILINE,
)


def source(name: str) -> str:
    return (files("imaging.ramdisk") / "files" / name).read_text()


@pytest.mark.parametrize("name", SCRIPTS)
def test_every_command_is_in_the_ramdisk(name: str) -> None:
    busybox = shutil.which("busybox")
    if busybox is None:
        pytest.skip("busybox is not installed")
    listed = subprocess.run([busybox, "--list"], capture_output=True, text=True, check=True)
    text = re.sub(r"(?m)^\s*(?:#.*|[a-z |]+\))$", "", source(name))
    text = re.sub(r"'[^']*'|\$\(\(.*?\)\)", "''", text)  # patterns and sums
    own = set(re.findall(r"(?m)^([a-z]+)\(\)", text))
    used = set(COMMAND.findall(text)) - OF_THE_SHELL - BESIDE_BUSYBOX - own
    assert used <= set(listed.stdout.split()), used - set(listed.stdout.split())


@pytest.mark.parametrize("name", SCRIPTS)
def test_the_shell_can_read_them(name: str) -> None:
    subprocess.run(["sh", "-n"], input=source(name).encode(), check=True, timeout=10)
