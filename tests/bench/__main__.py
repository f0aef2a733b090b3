"""Measure, show, and write the page: `python -m tests.bench --help`."""

import argparse
import compileall
import contextlib
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from tests.bench.machine import machine_line
from tests.bench.parts import Wish, chosen, find, names
from tests.bench.processes import BenchError
from tests.bench.ratios import TOLERANCE, Ratios, compare, dump, load, unknown, verdict
from tests.bench.tables import render, section, with_section

ROOT = Path(__file__).parent.parent.parent
DOCS = ROOT / "docs"
RATIOS = Path(__file__).with_name("ratios.json")
LEAST_RUNS = 5  # for the page
SIZE_MIB = 1280  # of the disk, for an image of 200 MB; starts weigh more on a smaller one
MEMORY = Path("/dev/shm")


def _options(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench",
        description="Measure the product on this machine, side by side with what there is.",
    )
    parser.add_argument(
        "--only",
        action="append",
        default=[],
        metavar="PART",
        help=f"parts whose names begin so, of {', '.join(names())}",
    )
    parser.add_argument("--runs", type=int, default=5, help="of each case, after a warm-up (5)")
    parser.add_argument(
        "--size", type=int, default=SIZE_MIB, help=f"of the disk, in MiB ({SIZE_MIB})"
    )
    parser.add_argument("--directory", type=Path, help=f"for large files ({MEMORY}, else /tmp)")
    todo = parser.add_mutually_exclusive_group()
    todo.add_argument("--write", action="store_true", help="refresh the pages in docs")
    todo.add_argument(
        "--check",
        action="store_true",
        help=f"fail when a ratio is more than {TOLERANCE:.0%} below the committed one",
    )
    options = parser.parse_args(argv)
    if options.runs < 1 or options.size < 8:
        parser.error("--runs is at least 1, --size at least 8")
    if options.write and options.runs < LEAST_RUNS:
        parser.error(f"the page shows medians of at least {LEAST_RUNS} runs")
    if (options.write or options.check) and options.size != SIZE_MIB:
        parser.error(f"ratios are kept, and compared, for a disk of {SIZE_MIB} MiB only")
    try:
        options.only = chosen([word for words in options.only for word in words.split(",")])
    except ValueError as error:
        parser.error(str(error))
    return options


@contextlib.contextmanager
def _workplace(parent: Path | None) -> Iterator[Path]:
    """A directory that is removed with all that is in it."""
    if parent is None and MEMORY.is_dir():
        parent = MEMORY
    place = Path(tempfile.mkdtemp(prefix="imaging-bench-", dir=parent))
    try:
        yield place
    finally:
        shutil.rmtree(place, ignore_errors=True)


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _measure(options: argparse.Namespace, machine: str) -> tuple[dict[str, dict[str, float]], bool]:
    """Run the parts; their ratios, and whether each could be run."""
    ratios: dict[str, dict[str, float]] = {}
    complete = True
    for name in options.only:
        part = find(name)
        _say(f"{name}: {part.title}")
        try:
            with _workplace(options.directory) as directory:
                result = part.run(Wish(directory, options.runs, options.size, _say))
        except BenchError as error:
            _say(f"{name}: {error}")
            complete = False
            continue
        ratios[name] = result.ratios
        print("\n".join(render(table) for table in result.tables), flush=True)
        if options.write:
            text = section(name, part.title, machine, result.tables)
            page = DOCS / part.page
            page.write_text(with_section(page.read_text(), name, text))
            RATIOS.write_text(dump({**_committed(), name: result.ratios}))
    return ratios, complete


def _committed() -> dict[str, dict[str, float]]:
    return load(RATIOS.read_text()) if RATIOS.exists() else {}


def _check(now: Ratios) -> bool:
    """Tell how the ratios have changed; whether each part has some, and none is much worse."""
    committed = _committed()
    found = compare(committed, now)
    for comparison in found:
        print(verdict(comparison))
    nothing = unknown(committed, now)
    for part in nothing:
        print(
            f"{part}: no ratios are committed to compare with; `make bench ONLY={part}` writes them"
        )
    return not nothing and not any(comparison.is_worse for comparison in found)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the benchmark; the exit status: 0, or 1 when something failed or has become slower."""
    options = _options(argv)

    def end(number: int, _frame: object) -> None:
        raise KeyboardInterrupt(number)

    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, end)
    machine = machine_line()
    print(machine, flush=True)
    # as an installation does: where Python may not write it, each start would compile it again
    compileall.compile_dir(ROOT / "imaging", quiet=2)
    try:
        ratios, fine = _measure(options, machine)
    except KeyboardInterrupt:
        _say("interrupted: nothing is left behind")
        return 1
    if options.check:
        fine = _check(ratios) and fine
    return 0 if fine else 1


if __name__ == "__main__":
    sys.exit(main())
