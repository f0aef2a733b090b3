"""The JSON Schema of what scripts read of the monitor: ``make schemas`` writes it."""

import sys
from pathlib import Path

from imaging.feedback.scripts.schemas import schema_text
from imaging.monitor.documents import AnyLine

FILE = "monitor.schema.json"


def monitor_schema() -> bytes:
    """What one line of the monitor's ``--events`` is."""
    return schema_text("One line of the events of imaging-monitor", AnyLine)


if __name__ == "__main__":
    (Path(sys.argv[1]) / FILE).write_bytes(monitor_schema())
