"""What is saved of a disk."""

from collections.abc import Mapping, Sequence
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imaging.frisbee.disklayout.label import Kind, Label, LabelError, LayoutError, Partition
from imaging.frisbee.disklayout.stretches import Findings
from imaging.frisbee.diskmap import Choices, DiskMap, map_disk, map_raw, read_label
from imaging.frisbee.errors import DiskError
from tests.disk_images import Entry, table

LINUX, SWAP, EXTENDED, OTHER = 0x83, 0x82, 0x05, 0x8E


def partitions(sectors: Mapping[int, bytes], disk: int = 100_000) -> Label:
    """Read the label of a disk given by its sectors that are not zeros."""

    def read(offset: int, length: int) -> bytes:
        assert length == 512
        return sectors.get(offset // 512, bytes(512))

    return read_label(read, disk)


def look(partition: Partition) -> Findings:
    """Swap space is free but for its head, and file systems are full."""
    if partition.kind is Kind.SWAP and partition.count > 64:
        return Findings("swap space", ((64, partition.count),))
    return Findings("ext4", ())


def mapped(label: Label, disk: int = 100_000, choices: Choices | None = None) -> DiskMap:
    """What is saved of a disk with such a label."""
    return map_disk(label, disk, choices or Choices(), look)


def regions(
    entries: Sequence[Entry | None], choices: Choices | None = None, disk: int = 100_000
) -> tuple[list[tuple[int, int]], int]:
    """Regions and end of a disk with these primary partitions."""
    found = mapped(partitions({0: table(entries)}), disk, choices)
    return [(region.start, region.count) for region in found.regions], found.end_sector


def notes(entries: Sequence[Entry | None], choices: Choices | None = None) -> list[str]:
    """What is said about a disk."""
    return list(mapped(partitions({0: table(entries)}), choices=choices).notes)


def test_a_linux_partition_is_saved_with_the_gap_before_it() -> None:
    assert regions([(LINUX, 2048, 5000), None, None, None]) == ([(0, 7048)], 7048)


def test_what_comes_after_the_last_partition_is_not() -> None:
    found = regions([(LINUX, 7000, 1000), (LINUX, 2048, 100), None, None])
    assert found == ([(0, 8000)], 8000)


def test_of_swap_the_head_is_kept() -> None:
    entries = [(LINUX, 2048, 28672), (SWAP, 30720, 2048), None, None]
    assert regions(entries) == ([(0, 30784)], 32768)
    entries = [(SWAP, 63, 1000), (LINUX, 2048, 100), None, None]
    assert regions(entries) == ([(0, 127), (1063, 1085)], 2148)
    assert regions([(SWAP, 63, 40), (LINUX, 2048, 100), None, None]) == ([(0, 2148)], 2148)


def test_an_unused_entry_with_a_size_is_free() -> None:
    entries = [(LINUX, 100, 100), (0, 200, 500), (LINUX, 800, 10), None]
    assert regions(entries) == ([(0, 200), (700, 110)], 810)
    assert regions([(LINUX, 100, 100), (0, 200, 500), None, None]) == ([(0, 200)], 700)


def test_the_label_is_saved_whatever_an_entry_claims() -> None:
    assert regions([(0, 0, 500), (LINUX, 600, 10), None, None]) == ([(0, 1), (500, 110)], 610)


def test_short_free_stretches_are_saved() -> None:
    entries = [(LINUX, 100, 100), (0, 200, 63), (LINUX, 263, 10), None]
    assert regions(entries) == ([(0, 273)], 273)
    assert regions(entries, Choices(minimum_free=63)) == ([(0, 200), (263, 10)], 273)
    entries = [(LINUX, 100, 100), (0, 200, 1), (0, 201, 63), (LINUX, 263 + 1, 10)]
    assert regions(entries) == ([(0, 200), (264, 10)], 274)
    assert regions([(LINUX, 9, 9), (0, 18, 1), (0, 30, 1), None], Choices(minimum_free=0)) == (
        [(0, 18), (19, 11)],
        31,
    )


def test_what_is_said() -> None:
    assert notes([(LINUX, 2048, 10), None, None, None]) == [
        "  Slice 2 is unused, NOT SAVING.",
        "  Slice 3 is unused, NOT SAVING.",
        "  Slice 4 is unused, NOT SAVING.",
    ]
    chosen = Choices(raw=frozenset({1}), ignored=frozenset({3}))
    assert notes([(SWAP, 2048, 10), (OTHER, 3000, 1), (LINUX, 4000, 1), None], chosen) == [
        "  Slice 1, forcing raw compression",
        "Slice 2 is an unknown type 0x8e (??), forcing raw compression",
        "  Slice 3 ignored, NOT SAVING.",
        "  Slice 4 is unused, NOT SAVING.",
    ]


def test_a_partition_can_be_forced_or_ignored() -> None:
    entries = [(SWAP, 100, 1000), (LINUX, 1100, 1000), (LINUX, 2100, 10), None]
    assert regions(entries) == ([(0, 164), (1100, 1010)], 2110)
    assert regions(entries, Choices(raw=frozenset({1}))) == ([(0, 2110)], 2110)
    ignored = Choices(ignored=frozenset({2, 9}))
    assert regions(entries, ignored) == ([(0, 164), (2100, 10)], 2110)


def test_one_partition_can_be_saved_alone() -> None:
    entries = [(LINUX, 2048, 28672), (SWAP, 30720, 2048), None, (LINUX, 99_000, 9999)]
    table_read = partitions({0: table(entries)})
    found = mapped(table_read, 100_000, Choices(only=1))
    assert (found.base, found.end_sector) == (2048, 28672)
    assert found.regions == ((0, 28672),)
    assert found.notes == ()
    found = mapped(table_read, 100_000, Choices(only=2))
    assert (found.base, found.end_sector, found.regions) == (30720, 2048, ((0, 64),))
    found = mapped(table_read, 100_000, Choices(only=1, limit=99))
    assert (found.base, found.end_sector, found.regions) == (2048, 99, ((0, 99),))
    for absent in (3, 5):
        with pytest.raises(LabelError, match=f"there is no slice {absent} to save"):
            mapped(table_read, 100_000, Choices(only=absent))
    with pytest.raises(LabelError, match="P4 ends at sector 108999, after the end of the disk"):
        mapped(table_read, 100_000, Choices(only=4))
    with pytest.raises(LabelError, match="slice 1 has nothing to save"):
        mapped(table_read, 100_000, Choices(only=1, ignored=frozenset({1})))


LOGICAL = {
    0: table([(LINUX, 100, 400), (0x0F, 1000, 9000), None, (LINUX, 10_000, 50)]),
    1000: table([(LINUX, 50, 500), (EXTENDED, 2000, 1000), None, None]),
    3000: table([(SWAP, 10, 990), (EXTENDED, 5000, 100), None, None]),
    6000: table([(OTHER, 1, 99), None, None, None]),
}


def test_logical_partitions_are_found() -> None:
    found = partitions(LOGICAL)
    assert [
        (each.number, int(each.type, 16), each.start, each.count) for each in found.partitions
    ] == [
        (1, LINUX, 100, 400),
        (2, 0x0F, 1000, 9000),
        (5, LINUX, 1050, 500),
        (6, SWAP, 3010, 990),
        (7, OTHER, 6001, 99),
        (3, 0, 0, 0),
        (4, LINUX, 10_000, 50),
    ]
    saved = mapped(found, 100_000, Choices())
    assert saved.regions == ((0, 3074), (4000, 6050))
    assert saved.end_sector == 10_050
    assert mapped(found, 100_000, Choices(only=6)).regions == ((0, 64),)
    with pytest.raises(LabelError, match="slice 2 is extended: ignore the slices in it"):
        mapped(found, 100_000, Choices(ignored=frozenset({2})))


@pytest.mark.parametrize(
    ("sector", "data", "words"),
    [
        (6000, table([(OTHER, 1, 9), (EXTENDED, 0, 9), None, None]), "broken at sector 1000"),
        (6000, table([None, (EXTENDED, 5000, 9), None, None]), "broken at sector 6000"),
        (6000, table([None, (EXTENDED, 9000, 9), None, None]), "broken at sector 10000"),
        (3000, bytes(512), "Wrong magic number in DOS partition table at sector 3000"),
        (0, bytes(512), "Wrong magic number in DOS partition table at sector 0"),
    ],
)
def test_a_broken_chain_is_refused(sector: int, data: bytes, words: str) -> None:
    with pytest.raises(LabelError, match=words):
        partitions(LOGICAL | {sector: data})


def test_a_chain_has_so_many_links_at_most() -> None:
    def read_sector(sector: int) -> bytes:
        if sector == 0:
            return table([(EXTENDED, 100, 9000), None, None, None])
        return table([(LINUX, 1, 1), (EXTENDED, sector - 100 + 2, 9), None, None])

    with pytest.raises(LabelError, match="more than 64 logical partitions in P1"):
        read_label(lambda offset, _length: read_sector(offset // 512), 100_000)


def test_a_chain_has_an_end() -> None:
    def read_sector(sector: int) -> bytes:
        if sector == 0:
            return table([(EXTENDED, 100, 1 << 31), None, None, None])
        return table([(LINUX, 1, 1), (EXTENDED, 2 * (sector - 100) + 10, 9), None, None])

    with pytest.raises(LabelError, match="logical partitions in P1"):
        read_label(lambda offset, _length: read_sector(offset // 512), 100_000)


@pytest.mark.parametrize(
    ("entries", "words"),
    [
        ([(LINUX, 100, 100), (LINUX, 199, 10), None, None], "P1 and P2 overlap!"),
        ([None, (OTHER, 300, 9), None, (LINUX, 250, 51)], "P2 and P4 overlap!"),
        ([(LINUX, 100, 100), (0, 150, 10), None, None], "P1 and P2 overlap!"),
        ([(LINUX, 100, 100_000), None, None, None], "P1 ends at sector 100100, after the end of"),
        ([None, None, None, None], "there is no partition to save, use -r"),
    ],
)
def test_a_label_without_sense_is_refused(entries: list[Entry | None], words: str) -> None:
    with pytest.raises(LabelError, match=words):
        regions(entries)


def test_partitions_must_end_before_the_limit() -> None:
    entries: list[Entry | None] = [(LINUX, 100, 100), None, None, None]
    assert regions(entries, Choices(limit=200)) == ([(0, 200)], 200)
    with pytest.raises(LabelError, match="P1 ends at sector 200, after the limit 199"):
        regions(entries, Choices(limit=199))


def test_a_partition_that_is_not_understood_is_saved_whole() -> None:
    def refuse(partition: Partition) -> Findings:
        raise LayoutError("is ext4 with errors")

    label = partitions({0: table([(LINUX, 100, 900), (SWAP, 1000, 500), None, None])})
    found = map_disk(label, 100_000, Choices(), refuse)
    assert found.regions == ((0, 1500),)
    assert found.notes[:2] == (
        "  Slice 1 is ext4 with errors, saving raw.",
        "  Slice 2 is ext4 with errors, saving raw.",
    )


def test_what_a_file_system_does_not_use_is_left_out() -> None:
    def find(partition: Partition) -> Findings:
        return Findings("ext4", ((10, 20), (100, 300), (500, 900)))

    label = partitions({0: table([(LINUX, 100, 900), None, None, None])})
    found = map_disk(label, 100_000, Choices(), find)
    assert found.regions == ((0, 200), (400, 200))
    assert found.end_sector == 1000
    assert found.details == ("  P1 (ext4): 610 of 900 sectors free",)
    alone = map_disk(label, 100_000, Choices(only=1), find)
    assert (alone.base, alone.regions, alone.end_sector) == (100, ((0, 100), (300, 200)), 900)


def test_tables_inside_of_what_is_free_are_saved() -> None:
    """A type 0 entry that covers the chain of logical partitions must not cost these."""
    sectors = {
        0: table([(EXTENDED, 1000, 2000), (0, 900, 1050), None, None]),
        1000: table([(LINUX, 1000, 100), None, None, None]),
    }
    saved = mapped(partitions(sectors))
    assert saved.regions == ((0, 900), (1000, 1), (1950, 1050))


def gpt_label(tail: tuple[int, int] | None, end: int = 0) -> Label:
    """A GPT with two partitions."""
    return Label(
        (Partition(1, Kind.FILES, "x", 2048, 1000), Partition(3, Kind.SWAP, "y", 4096, 1000)),
        tail=tail,
        end=end,
    )


def test_the_backup_of_a_gpt_is_saved_with_the_end_of_the_disk() -> None:
    saved = mapped(gpt_label((9967, 10_000)), 10_000)
    assert saved.regions == ((0, 4160), (9967, 33))
    assert saved.end_sector == 10_000
    assert saved.notes == ()


def test_the_backup_of_a_gpt_is_not_saved_beyond_the_limit() -> None:
    saved = mapped(gpt_label((9967, 10_000)), 10_000, Choices(limit=9999))
    assert saved.regions == ((0, 4160),)
    assert saved.end_sector == 5096
    assert saved.notes == ("  The backup of the GPT is NOT SAVED: it lies after the limit.",)


def test_a_gpt_without_backup_ends_with_its_last_partition() -> None:
    assert mapped(gpt_label(None), 10_000).end_sector == 5096
    assert mapped(gpt_label(None, end=6000), 10_000).regions == ((0, 4160), (5096, 904))


def test_raw_disks() -> None:
    assert map_raw(512 * 77).regions == ((0, 77),)
    assert map_raw(512 * 77).end_sector == 77
    assert map_raw(512 * 77 + 1, limit=70).regions == ((0, 70),)
    assert map_raw(512 * 77, limit=90).regions == ((0, 77),)
    with pytest.raises(DiskError, match="size 513 is not a multiple of 512"):
        map_raw(513)
    with pytest.raises(DiskError, match="the input is empty"):
        map_raw(0)
    with pytest.raises(DiskError, match="more than an image can hold"):
        map_raw(1 << 41)


@given(st.lists(st.binary(min_size=64, max_size=64), min_size=1, max_size=4), st.integers(0, 4000))
def test_any_label_is_mapped_or_refused(tables: list[bytes], disk: int) -> None:
    sectors = [bytes(446) + each + b"\x55\xaa" for each in tables]
    try:
        label = read_label(lambda offset, _length: sectors[offset // 512 % len(sectors)], disk)
        found = mapped(label, disk)
    except LabelError:
        return
    assert found.end_sector <= disk


@given(
    st.lists(
        st.tuples(
            st.sampled_from([0, LINUX, SWAP, OTHER]), st.integers(0, 300), st.integers(0, 400)
        ),
        max_size=4,
    ),
    st.integers(0, 100),
)
def test_nothing_is_lost(layout: list[tuple[int, int, int]], minimum_free: int) -> None:
    position, entries = 1, []
    for kind, gap, count in layout:
        entries.append((kind, position + gap, count))
        position += gap + count
    if not any(count for _, _, count in entries):
        return
    padded = [*entries, *[None] * (4 - len(entries))]
    saved, end = regions(padded, Choices(minimum_free=minimum_free))
    assert end == max(start + count for _, start, count in entries if count)
    covered = {sector for start, count in saved for sector in range(start, start + count)}
    assert all(one[0] + one[1] < other[0] for one, other in pairwise(saved))
    free = set()
    for kind, start, count in entries:
        if kind == 0:
            free |= set(range(start, start + count))
        elif kind == SWAP:
            free |= set(range(start + 64, start + count))
    assert set(range(end)) - covered <= free
    if not minimum_free:
        assert set(range(end)) - covered == free
