"""One file per command: options, one call, exit code. `session` is the way they all run.

Ctrl-C may come before any of them runs, while their modules are imported: that is no bug, and
shows no traceback.
"""

import sys
from types import TracebackType


def _show(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Tell what has ended the process."""
    if issubclass(kind, KeyboardInterrupt):
        print("interrupted before anything was done", file=sys.stderr)
    else:
        sys.__excepthook__(kind, error, trace)


sys.excepthook = _show
