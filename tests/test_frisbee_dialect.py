"""What frisbee clients say, read from transcripts of the C client and cut anywhere."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imaging.frisbee.dialect import ClientDialect, DialectEvent, Joined, Left, Progress, Wrote

TRANSCRIPTS = Path(__file__).parent / "transcripts"


def transcript(name: str) -> str:
    # read as bytes: the carriage returns of a terminal must stay
    return (TRANSCRIPTS / name).read_bytes().decode()


def read(text: str, pieces: int | None = None) -> tuple[list[DialectEvent], str]:
    dialect = ClientDialect()
    events: list[DialectEvent] = []
    size = pieces or len(text) or 1
    for start in range(0, len(text), size):
        events += dialect.feed(text[start : start + size])
    return events, dialect.last_words


SUCCESSES = [
    ("01-ok-big.client-pipe.stderr", 173, Wrote(8054112256, 1970724864)),
    ("02-ok-big-pty.client-pty.raw", 173, Wrote(8054112256, 1970724864)),
    ("03-ok-big-z.client-pipe.stderr", 173, Wrote(8054112256, 8054112256)),
    ("04-ok-quiet.client-pipe.stderr", 173, Wrote(8054112256, 1970724864)),
    ("12-three-clients.client2.stderr", 2, Wrote(66060288, 12687360)),
    ("41-client-loopdev-ok.stderr", 2, Wrote(66060288, 12687360)),
    ("42-client-missing-last-chunk.stderr", 1, Wrote(6839808, 6839808)),
]


@pytest.mark.parametrize(("name", "chunks", "wrote"), SUCCESSES, ids=lambda v: str(v)[:2])
def test_a_success_is_read_from_beginning_to_end(name: str, chunks: int, wrote: Wrote) -> None:
    events, words = read(transcript(name))
    assert isinstance(events[0], Joined)
    assert events[0].chunks == chunks
    assert events[0].size == chunks * 1048576
    assert Left() in events
    assert events[-1] == wrote
    assert words == "" or name.startswith("12")  # that one ran with -d


FAILURES = [
    ("05-shortwrite-tmpfs.client-pipe.stderr", "write error: No space left on device"),
    ("06-shortwrite-loopdev.client-pipe.stderr", "Short write!"),
    ("07-server-dies.client-pty.raw", ""),
    ("08-no-server.client-pipe.stderr", ""),
    (
        "40-client-badif.stderr",
        "setsockopt(IPPROTO_IP, IP_ADD_MEMBERSHIP) : No such device",
    ),
    ("40-client-badout.stderr", "opening output file: No such file or directory"),
    ("40-client-devfull.stderr", "write error: No space left on device"),
    ("40-client-linkdown-midway.stderr", "PacketSend(sendto) : Network is unreachable"),
    ("40-client-portinuse.stderr", "Could not bind to port 7001!"),
    ("40-client-sigINT.stderr", ""),
    ("42-client-corrupt-image.stderr", "inflate failed, err=-3"),
]


@pytest.mark.parametrize(("name", "words"), FAILURES, ids=lambda v: str(v)[:16])
def test_the_last_words_of_a_failure_are_its_reason(name: str, words: str) -> None:
    events, found = read(transcript(name))
    assert found == words
    assert not any(isinstance(event, Left | Wrote) for event in events)


def test_progress_grows_and_ends_where_the_client_says() -> None:
    events, _ = read(transcript("01-ok-big.client-pipe.stderr"))
    told = [event.fraction for event in events if isinstance(event, Progress)]
    assert told == sorted(told)
    # after the first full line 106 of 173 chunks remain
    assert (173 - 106) / 173 in told
    assert (173 - 46) / 173 in told
    assert 0.9 < told[-1] <= 1


def test_marks_are_progress_as_they_come() -> None:
    dialect = ClientDialect()
    dialect.feed("Joined the team after 0 sec. ID is 1. File is 4 chunks (4194304 bytes)\n")
    assert dialect.feed(".") == [Progress(0.25)]
    assert dialect.feed("ss") == []
    assert dialect.feed(".") == [Progress(0.5)]
    assert dialect.feed("..Short write!") == [Progress(1.0)]
    assert dialect.last_words == "Short write!"


def test_the_dialect_with_percentages() -> None:
    dialect = ClientDialect()
    told = dialect.feed("Joined the team after 0 sec. ID is 1. File is 4 chunks (4194304 bytes)\n")
    told = dialect.feed("Progress: 10%\rProgress: 35%\r\nProgress: 30%\nProgress: 100%\n")
    assert [event for event in told if isinstance(event, Progress)] == [
        Progress(0.10),
        Progress(0.35),
        Progress(1.0),
    ]
    assert dialect.last_words == ""


@pytest.mark.parametrize(
    "name", [name for name, *_ in SUCCESSES] + [name for name, _ in FAILURES], ids=lambda n: n[:9]
)
@given(data=st.data())
def test_how_the_text_is_cut_does_not_matter(name: str, data: st.DataObject) -> None:
    text = transcript(name)
    cuts = data.draw(st.lists(st.integers(0, len(text)), max_size=12).map(sorted))
    dialect = ClientDialect()
    events: list[DialectEvent] = []
    for start, stop in zip([0, *cuts], [*cuts, len(text)], strict=True):
        events += dialect.feed(text[start:stop])
    whole, words = read(text)
    assert dialect.last_words == words
    assert [e for e in events if not isinstance(e, Progress)] == [
        e for e in whole if not isinstance(e, Progress)
    ]
    progress = [e.fraction for e in events if isinstance(e, Progress)]
    assert progress == sorted(set(progress))
    assert progress[-1:] == [e.fraction for e in whole if isinstance(e, Progress)][-1:]


@given(st.lists(st.text(alphabet=".szJoinedWrt0123456789 %:\r\n\0é", max_size=50), max_size=10))
def test_any_text_is_taken(pieces: list[str]) -> None:
    dialect = ClientDialect()
    told = [event for piece in pieces for event in dialect.feed(piece)]
    fractions = [event.fraction for event in told if isinstance(event, Progress)]
    assert all(0 < fraction <= 1 for fraction in fractions)
    assert fractions == sorted(set(fractions))
    assert "\n" not in dialect.last_words


def test_a_line_without_end_is_not_kept_for_ever() -> None:
    dialect = ClientDialect()
    for _ in range(100):
        dialect.feed("x" * 1000)
    assert len(dialect.last_words) <= 200
