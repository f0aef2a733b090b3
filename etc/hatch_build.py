"""What the wheel has beside the package, where shells and man look: completion scripts, man pages.

Bash and fish look for a file per command, so that each name has a copy of the one script.
"""

import shutil
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class SharedDataHook(BuildHookInterface[Any]):
    """Adds them while a wheel is built."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Name the files, and where each goes below share/; nothing of an editable install."""
        if version == "editable":
            return
        scripts = Path(self.root) / "etc/completion"
        self._copies = Path(tempfile.mkdtemp())
        shared: dict[str, str] = build_data["shared_data"]
        shared[str(scripts / "_imaging")] = "share/zsh/site-functions/_imaging"
        names = (scripts / "_imaging").read_text().partition("\n")[0].split()[1:]
        for name in names:
            copy = shutil.copy(scripts / "imaging.bash", self._copies / name)
            shared[str(copy)] = f"share/bash-completion/completions/{name}"
            if name.startswith("imaging"):
                copy = shutil.copy(scripts / "imaging.fish", self._copies / f"{name}.fish")
                shared[str(copy)] = f"share/fish/vendor_completions.d/{name}.fish"
        for page in sorted((Path(self.root) / "docs/man").glob("*.[1-9]")):
            shared[str(page)] = f"share/man/man{page.suffix[1:]}/{page.name}"

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """Remove the copies."""
        if version != "editable":
            shutil.rmtree(self._copies)
