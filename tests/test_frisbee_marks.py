"""Progress marks, compared with what the C tools printed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imaging.frisbee.marks import Covered, ProgressMarks, ZipMarks


def test_the_client_s_lines() -> None:
    marks = ProgressMarks(173)
    text = "".join(marks.chunk_done(10.9) for _ in range(67))
    text += "".join(marks.chunk_done(12.0) for _ in range(42))
    text += marks.cover(Covered.SKIPPED, 4_000_000_000, 13)
    text += "".join(marks.chunk_done(13) for _ in range(18))
    text += marks.cover(Covered.SKIPPED, 2_500_000_000, 13)
    text += marks.cover(Covered.DATA, 499_999_999, 20)
    assert marks.remaining == 46
    text += marks.cover(Covered.DATA, 1, 20.99)
    text += "".join(marks.chunk_done(27) for _ in range(46))
    text += marks.cover(Covered.DATA, 1_054_112_256, 27)
    text += marks.end_line()
    # as the C client printed it for this image, but for where the marks of bytes fall
    assert text.splitlines() == [
        "." * 67 + "  10    106",
        "." * 42 + "ssss" + "." * 18 + "ss" + "." + "  20     46",
        "." * 47,
    ]


def test_nothing_is_marked_between_two_boundaries() -> None:
    marks = ProgressMarks(1)
    assert marks.cover(Covered.DATA, 999_999_999, 0) == ""
    assert marks.cover(Covered.ZEROED, 1, 0) == "z"
    assert marks.cover(Covered.ZEROED, 999_999_999, 0) == ""
    assert marks.cover(Covered.SKIPPED, 1, 0) == "s"


def test_imageunzip_pads_its_last_line() -> None:
    marks = ProgressMarks(2)
    text = marks.chunk_done(0) + marks.chunk_done(1) + marks.end_numbers(1.9)
    assert text == ".." + " " * 65 + "   1      0\n"


def test_the_number_of_chunks_may_be_unknown() -> None:
    marks = ProgressMarks(0)
    text = marks.chunk_done(0) + marks.chunk_done(0) + marks.end_numbers(0)
    assert text == ".." + " " * 65 + "   0     -2\n"


@pytest.mark.parametrize(("chunks", "count_bytes"), [(True, False), (False, True), (False, False)])
def test_each_kind_of_mark_can_be_left_out(chunks: bool, count_bytes: bool) -> None:
    marks = ProgressMarks(9, show_chunks=chunks, show_bytes=count_bytes)
    assert marks.chunk_done(0) == ("." if chunks else "")
    assert marks.cover(Covered.ZEROED, 3_000_000_000, 0) == ("zzz" if count_bytes else "")
    assert marks.remaining == 8


def test_large_numbers_widen_their_columns() -> None:
    marks = ProgressMarks(12_345_678 + 67)
    text = "".join(marks.chunk_done(98765) for _ in range(67))
    assert text == "." * 67 + "98765 12345678\n"


@given(
    st.lists(
        st.tuples(st.sampled_from([*Covered, None]), st.integers(0, 9_000_000_000)), max_size=60
    )
)
def test_marks_say_how_much_is_done(steps: list[tuple[Covered | None, int]]) -> None:
    marks = ProgressMarks(100)
    text = "".join(
        marks.chunk_done(3) if kind is None else marks.cover(kind, count, 3)
        for kind, count in steps
    )
    chunks = sum(kind is None for kind, _ in steps)
    covered = sum(count for kind, count in steps if kind is not None)
    lines = text.splitlines()
    assert all(len(line) == 67 + 4 + 1 + 6 for line in lines[: text.count("\n")])
    assert sum(line[:67].count(mark) for line in lines for mark in ".sz") == (
        chunks + covered // 1_000_000_000
    )
    assert marks.remaining == 100 - chunks


def test_imagezip_s_lines() -> None:
    marks = ZipMarks()
    text = "".join(marks.chunk_done(99907584, 6.6) for _ in range(61))
    text += "".join(marks.chunk_done(165101056, 9.0) for _ in range(61))
    text += "".join(marks.chunk_done(8054112256, 18) for _ in range(50))
    text += marks.end_line()
    assert text.splitlines() == [
        "." * 61 + "     99907584    6",
        "." * 61 + "    165101056    9",
        "." * 50,
    ]
    assert text.endswith(".\n")


def test_imagezip_ends_a_full_line_once() -> None:
    marks = ZipMarks()
    text = "".join(marks.chunk_done(1, 1) for _ in range(61))
    assert text.endswith("\n")
    assert marks.end_line() == ""
    assert ZipMarks().end_line() == ""
