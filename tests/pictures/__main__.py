"""Record a load on the virtual testbed, and write its picture: `python -m tests.pictures`.

Nothing in the picture is made up: the installed commands run in a shell in a terminal, on virtual
nodes, of which one fails. Only the bandwidth is chosen low, so that there is something to see.
"""

import sys
import tempfile
from pathlib import Path

from conftest import running_testbed
from tests.commands import Commands
from tests.pictures.drawing import draw
from tests.pictures.recording import PROMPT, Frame, Recorder
from tests.terminals import terminal

FOLDER = Path(__file__).parent.parent.parent / "docs" / "pictures"
COLUMNS, ROWS = 92, 20
BANDWIDTH = "bandwidth_mibps = {}"
END_S = 5.0  # that the last frame stays
TITLE = (
    "imaging-load on ten virtual nodes: one fails, is named with its reason, and is loaded again"
)
COMMANDS = ["imaging-load -c -i sample 1-12 ~4-5", "imaging-load --retry-last --wait"]


def record(testbed: Commands) -> list[Frame]:
    """The frames of the commands, one after the other in one shell."""
    with terminal(COLUMNS, ROWS) as shown:
        variables = {"PS1": PROMPT, "BASH_SILENCE_DEPRECATION_WARNING": "1"}
        shown.start(
            "/bin/bash", "--norc", "--noprofile", "-i",
            cwd=testbed.directory, environment={**testbed.environment, **variables},
        )  # fmt: skip
        shown.see(PROMPT.rstrip())
        recorder = Recorder(shown)
        for command in COMMANDS:
            recorder.type(command)
            recorder.watch(2.0)
        return recorder.frames


def main() -> int:
    """Write the picture; gives the exit code."""
    with tempfile.TemporaryDirectory() as scratch:
        home = Path(scratch, "home")
        home.mkdir()
        with running_testbed(Path(scratch, "testbed"), home, "-n12", "--disk-size=32") as testbed:
            testbed.set_fault("fit08", client="fail:7*1")
            for name, seconds in [("fit03", 0.5), ("fit09", 1), ("fit11", 1.5)]:
                testbed.set_fault(name, boot=f"slow:{seconds}")
            with testbed.setting(BANDWIDTH.format(400), BANDWIDTH.format(24)):
                frames = record(testbed)
    busiest = max(range(len(frames)), key=lambda at: _colours(frames[at]))
    FOLDER.mkdir(exist_ok=True)
    picture = FOLDER / "load.svg"
    picture.write_text(draw(frames, TITLE, end_s=END_S, still=busiest))
    print(f"{picture}: {len(frames)} frames, {picture.stat().st_size} bytes")
    return 0


def _colours(frame: Frame) -> int:
    """How much there is to see in a frame."""
    return sum(len(run.text.strip()) for row in frame.screen for run in row)


if __name__ == "__main__":
    sys.exit(main())
