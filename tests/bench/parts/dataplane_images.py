"""imagezip and imageunzip: a disk into an image, and back."""

import time
from collections.abc import Sequence
from pathlib import Path

from tests.bench.disk import MIB, make_disk
from tests.bench.parts import Part, Wish
from tests.bench.processes import BenchError, processes
from tests.bench.sessions import sha256
from tests.bench.statistics import Sample, cpu_per_gigabyte, median_of, pair_ratio, walls
from tests.bench.tables import PartResult, Table, number
from tests.bench.tools import OURS, find_theirs, theirs_or_note, yardstick
from tests.bench.turns import Case, Turns, take_turns

YARDSTICK = "zlib, one thread"
COLUMNS = ("tool", "wall s", "MB/s of disk", "CPU s/GB of disk", "peak MB", "against")


class Workshop:
    """The disk and the images of one run of the part."""

    def __init__(self, directory: Path, size_mib: int) -> None:
        """Make the disk."""
        self.directory = directory
        self.disk = directory / "disk"
        self.content = make_disk(self.disk, size_mib)
        self.size = size_mib * MIB
        self.digest = sha256(self.disk)

    def measured(self, words: Sequence[str]) -> Sample:
        """Run one process to its end."""
        with processes(self.directory) as group:
            begin = time.monotonic()
            process = group.start("tool", words)
            usage = group.wait(process)
            return Sample(time.monotonic() - begin, {"tool": usage})

    def pack(self, words: Sequence[str], image: Path, unpack: Sequence[str]) -> Sample:
        """Make an image, and see that the disk comes out of it again."""
        sample = self.measured(words)
        self.unpack([*unpack, str(image), str(self.directory / "check")])
        return sample

    def unpack(self, words: Sequence[str]) -> Sample:
        """Expand an image to the path that comes last, and compare that with the disk."""
        output = Path(words[-1])
        try:
            sample = self.measured(words)
            with output.open("r+b") as stream:
                stream.truncate(self.size)  # free space at the end is not written
            if sha256(output) != self.digest:
                raise BenchError(f"{words[0]} has not restored the disk")
        finally:
            output.unlink(missing_ok=True)
        return sample


def run(wish: Wish) -> PartResult:
    """Measure both directions."""
    shop = Workshop(wish.directory, wish.size_mib)
    theirs = find_theirs()
    home, disk = shop.directory, str(shop.disk)
    images = {name: home / f"image-{number}" for number, name in enumerate(_zips())}
    packs, unpacks = [], []
    for name, (words, expand) in _zips().items():
        image = images[name]

        def pack(
            words: list[str] = words, expand: list[str] = expand, image: Path = image
        ) -> Sample:
            return shop.pack([*words, disk, str(image)], image, expand)

        packs.append(Case(name, pack))
    wish.say("imagezip")
    packed = take_turns(packs, wish.runs, wish.say)
    for name, tool in _unzips().items():
        source = images[YARDSTICK if name == YARDSTICK else "imaging-imagezip -r"]

        def unpack(tool: list[str] = tool, source: Path = source) -> Sample:
            return shop.unpack([*tool, str(source), str(home / "restored")])

        unpacks.append(Case(name, unpack))
    wish.say("imageunzip")
    restored = take_turns(unpacks, wish.runs, wish.say)
    notes = [f"The disk: {shop.content}.", *theirs_or_note(theirs)]
    sizes = {name: file.stat().st_size for name, file in images.items() if file.exists()}
    return PartResult(
        [
            _table("Saving: a disk into an image", packed, shop.size, notes, sizes),
            _table("Restoring: the image `imaging-imagezip -r` into a disk", restored, shop.size),
        ],
        {
            **_ratios("imagezip -r", "imaging-imagezip -r", packed),
            **_ratios("imageunzip", "imaging-imageunzip", restored),
        },
    )


def _zips() -> dict[str, tuple[list[str], list[str]]]:
    """What makes an image, and what expands it again; images are written to files, no fsync."""
    theirs = find_theirs()
    tools = {
        "imaging-imagezip -r": ([OURS.imagezip, "-r", "-D"], [OURS.imageunzip]),
        "imaging-imagezip": ([OURS.imagezip, "-D"], [OURS.imageunzip]),
        YARDSTICK: (yardstick("deflate"), yardstick("inflate")),
    }
    if theirs is not None:
        tools["C imagezip -r -z1"] = ([theirs.imagezip, "-r", "-z1", "-D"], [OURS.imageunzip])
        tools["C imagezip -z1"] = ([theirs.imagezip, "-z1", "-D"], [OURS.imageunzip])
    return tools


def _unzips() -> dict[str, list[str]]:
    theirs = find_theirs()
    tools = {"imaging-imageunzip": [OURS.imageunzip], YARDSTICK: yardstick("inflate")}
    if theirs is not None:
        tools["C imageunzip"] = [theirs.imageunzip]
    return tools


def _ratios(what: str, ours: str, turns: Turns[Sample]) -> dict[str, float]:
    """Ours against the yardstick: how many times faster, and with how much less CPU."""
    samples = turns.samples
    if not {ours, YARDSTICK} <= samples.keys():
        return {}
    ratio = pair_ratio(walls(samples[YARDSTICK]), walls(samples[ours]))
    cpu = pair_ratio(
        *([sample.cpu_s("tool") for sample in samples[name]] for name in (YARDSTICK, ours))
    )
    return {
        f"{what}: times faster than {YARDSTICK}": ratio,
        f"{what}: CPU of {YARDSTICK} over ours": cpu,
    }


def _table(
    title: str,
    turns: Turns[Sample],
    size: int,
    notes: Sequence[str] = (),
    sizes: dict[str, int] | None = None,
) -> Table:
    rows = []
    base = next((name for name in turns.samples if name.startswith("C ")), YARDSTICK)
    for name, samples in turns.samples.items():
        wall = median_of(walls(samples))
        faster = (
            pair_ratio(walls(turns.samples[base]), walls(samples))
            if base in turns.samples
            else None
        )
        row = [
            f"`{name}`" if name != YARDSTICK else name,
            number(wall),
            number(size / 1e6 / wall),
            number(median_of(cpu_per_gigabyte(samples, "tool", size))),
            number(median_of([s.usage["tool"].peak_bytes / 1e6 for s in samples])),
            f"{number(faster)}x" if faster is not None else "",
        ]
        if sizes is not None:
            row.insert(5, number(sizes[name] / 1e6, 4))
        rows.append(row)
    columns = [*COLUMNS[:5], *(["image MB"] if sizes is not None else []), f"faster than {base}"]
    rows += [
        [name, f"failed: {why}", *[""] * (len(columns) - 2)] for name, why in turns.failures.items()
    ]
    return Table(title, columns, rows, notes)


PART = Part("Images", run)
