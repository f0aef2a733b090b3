"""The property tests of tests/test_fuzz_*.py, driven by coverage, for as long as one likes.

``python -m tests.fuzz`` names them, ``python -m tests.fuzz NAME [-max_total_time=60]`` runs one;
the options are libFuzzer's. It needs atheris, which is not installed with the rest.
"""

import importlib
import inspect
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

FUZZED = "imaging"


def targets() -> Iterator[tuple[str, Callable[..., Any]]]:
    """The property tests that need nothing but what hypothesis gives, by name."""
    for file in sorted(Path(__file__).parent.glob("test_fuzz_*.py")):
        module = importlib.import_module(f"tests.{file.stem}")
        for name, test in vars(module).items():
            inner = getattr(getattr(test, "hypothesis", None), "inner_test", None)
            # what is left of the signature would be fixtures
            if inner is not None and not inspect.signature(test).parameters:
                yield name.removeprefix("test_"), test


def main() -> None:
    """Name the targets, or fuzz one."""
    if len(sys.argv) < 2 or sys.argv[1].startswith("-"):
        print("\n".join(name for name, _ in targets()))
        return
    try:
        import atheris
    except ImportError:
        sys.exit("this needs atheris: pip install atheris")
    with atheris.instrument_imports(include=[FUZZED]):
        found = dict(targets())
    name = sys.argv.pop(1)
    if name not in found:
        sys.exit(f"no target is {name!r}: python -m tests.fuzz names them")
    atheris.Setup(sys.argv, found[name].hypothesis.fuzz_one_input)  # type: ignore[attr-defined]
    atheris.Fuzz()


if __name__ == "__main__":
    main()
