"""Our tools and the C ones (frisbeed, frisbee, imagezip, imageunzip) with each other."""

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from imaging.testbed.sample_image import write_disk
from tests.commands import BIN, sha256
from tests.frisbee_session import FrisbeeSession, frisbee_session

OURS = {
    name: str(BIN / f"imaging-{name}") for name in ("frisbeed", "frisbee", "imagezip", "imageunzip")
}
# beside ours may stand links of the same names: the C tools are those elsewhere
THEIRS = {name: found for name in OURS if (found := shutil.which(name)) is not None}

pytestmark = [
    pytest.mark.interop,
    pytest.mark.skipif(
        len(THEIRS) < len(OURS),
        reason=f"the C tools are not on PATH: {', '.join(sorted(OURS.keys() - THEIRS.keys()))}",
    ),
]

SIZE = 24 << 20


@pytest.fixture
def session(tmp_path: Path) -> Iterator[FrisbeeSession]:
    write_disk(tmp_path / "disk", SIZE, 5)
    with frisbee_session(tmp_path) as found:
        yield found


def run(*words: str, cwd: Path) -> None:
    done = subprocess.run(words, cwd=cwd, capture_output=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr.decode()


@pytest.mark.parametrize("options", [[], ["-z1"], ["-z9"], ["-r"], ["-1"], ["-N"]], ids=" ".join)
@pytest.mark.parametrize(("zips", "unzips"), [(OURS, THEIRS), (THEIRS, OURS)], ids=["out", "in"])
def test_images(
    session: FrisbeeSession, zips: dict[str, str], unzips: dict[str, str], options: list[str]
) -> None:
    home = session.directory
    run(zips["imagezip"], *options, "disk", "image", cwd=home)
    run(unzips["imageunzip"], "image", "copy", cwd=home)
    assert sha256(home / "copy") == sha256(home / "disk")


@pytest.mark.parametrize(
    ("servers", "clients"),
    [
        (OURS, [THEIRS, THEIRS]),
        (THEIRS, [OURS, OURS]),
        (OURS, [OURS, THEIRS]),
        (THEIRS, [OURS, THEIRS]),
    ],
    ids=["our server", "our clients", "our server, mixed", "their server, mixed"],
)
def test_sessions(
    session: FrisbeeSession, servers: dict[str, str], clients: list[dict[str, str]]
) -> None:
    home = session.directory
    run(OURS["imagezip"], "disk", "image", cwd=home)
    session.server_tool = servers["frisbeed"]
    server = session.server(home / "image", "-T", "-1", "-W", "100000000")
    started = []
    for number, client in enumerate(clients, start=1):
        session.client_tool = client["frisbee"]
        started.append(session.client(number, f"copy-{number}"))
    for number, process in enumerate(started, start=1):
        status, words = session.end_of(process)
        assert status == 0, words
        assert sha256(home / f"copy-{number}") == sha256(home / "disk")
    status, words = session.end_of(server)
    assert status == 0
    assert "Last client left!" in words
