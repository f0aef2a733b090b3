"""Finding the tools that the settings name."""

import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from imaging.errors import ConfigurationError


def find_command(words: Sequence[str], setting: str) -> tuple[str, ...]:
    """Find a tool on PATH, or beside this Python; raises ConfigurationError when it is neither."""
    beside = Path(sys.executable).parent
    path = os.pathsep.join([os.environ.get("PATH", os.defpath), str(beside)])
    found = shutil.which(words[0], path=path) if words else None
    if found is None:
        tool = words[0] if words else ""
        raise ConfigurationError(
            f"the tool {tool!r} of {setting} is not found on PATH",
            hint="install it, or name it with its whole path",
        )
    return (found, *words[1:])
