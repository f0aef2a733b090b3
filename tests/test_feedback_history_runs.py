"""What the history knows of runs and nodes."""

import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imaging.errors import Reason
from imaging.feedback.outcomes import ImageFacts, NodeOutcome, Step
from imaging.feedback.records.history import open_history
from imaging.feedback.records.history_rows import NodeImage
from tests.history_samples import IMAGE, OTHER, STEPS, failed, fine, image_of, record, report


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "history.sqlite"


def test_a_run_comes_back_as_it_was(path: Path) -> None:
    record(path, report(1, fine("fit02"), failed("fit01", Step.TRANSFER)))
    with open_history(path, writing=False) as history:
        (run,) = history.runs()
        assert history.last_run("imaging-load", "alice") == run
        assert history.last_run("imaging-load", "bob") is None
        assert history.last_run("imaging-save", "alice") is None
        attempts = history.attempts(run_id=run.run_id)
    assert (run.run_id, run.command, run.user) == (
        "20260101-000001-00000a",
        "imaging-load",
        "alice",
    )
    assert (run.started, run.elapsed, run.exit_code) == (1000.0, 60.0, 1)
    assert (run.image, run.transcripts) == (IMAGE, "/transcripts/x")
    assert (run.ok, run.failed) == (("fit02",), ("fit01",))
    first, second = attempts
    assert (first.node, first.reason, first.size, dict(first.durations)) == (
        "fit02",
        None,
        1000,
        {str(step): duration for step, duration in STEPS.items()},
    )
    assert (second.node, second.reason, second.step) == ("fit01", "stalled", "transfer")
    assert second.message == "fit01: it stalled"
    assert first.ended == 1030.75
    assert second.ended == 1060.0, "its last step was at work when the run ended"


def test_every_attempt_is_recorded(path: Path) -> None:
    again = NodeOutcome("fit01", durations=STEPS, attempts=(failed("fit01", Step.CHECK),))
    record(path, report(1, again, fine("fit02")))
    with open_history(path) as history:
        attempts = history.attempts(run_id="20260101-000001-00000a")
        (run,) = history.runs()
    assert [(a.node, a.number, a.final) for a in attempts] == [
        ("fit01", 1, False),
        ("fit01", 2, True),
        ("fit02", 1, True),
    ]
    assert (run.ok, run.failed) == (("fit01", "fit02"), ())


NODES = ("fit01", "fit02", "fit03")
PAST = st.lists(
    st.tuples(
        st.sampled_from(["imaging-load", "imaging-save"]),
        st.lists(
            st.tuples(st.sampled_from(NODES), st.sampled_from([None, *Step])),
            min_size=1,
            unique_by=lambda pair: pair[0],
        ),
    ),
    max_size=20,
)


@given(PAST, st.integers(1, 5))
def test_what_is_dropped_changes_no_image(
    past: list[tuple[str, list[tuple[str, Step | None]]]], keep: int
) -> None:
    with tempfile.TemporaryDirectory() as name:
        whole, kept = Path(name) / "whole", Path(name) / "kept"
        with open_history(whole) as history, open_history(kept) as short:
            for number, (command, ends) in enumerate(past, 1):
                outcomes = [failed(n, step) if step else fine(n) for n, step in ends]
                history.record(report(number, *outcomes, command=command))
                short.record(report(number, *outcomes, command=command), keep)
            images = [short.image_of(node) for node in NODES]
            assert images == [history.image_of(node) for node in NODES]
            needed = {image.run_id for image in images if image is not None}
            left, all_runs = short.runs(count=-1), history.runs(count=-1)
            assert left[:keep] == all_runs[:keep]
            assert {run.run_id for run in left[keep:]} == needed - {r.run_id for r in left[:keep]}
            assert {a.run_id for a in short.attempts()} == {run.run_id for run in left}


def test_a_run_is_recorded_once(path: Path) -> None:
    record(path, report(1, fine("fit01")), report(1, fine("fit01")))
    with open_history(path) as history:
        assert len(history.runs()) == 1


def test_filters(path: Path) -> None:
    record(
        path,
        report(1, fine("fit01")),
        report(2, fine("fit02"), failed("fit01", Step.BOOT), image=OTHER, user="bob"),
        report(3, fine("fit03"), command="imaging-save", image=OTHER),
    )
    with open_history(path) as history:

        def numbers(**filters: object) -> list[int]:
            return [round(run.started / 1000) for run in history.runs(**filters)]  # type: ignore[arg-type]

        assert numbers() == [3, 2, 1]
        assert numbers(count=2) == [3, 2]
        assert numbers(node="fit01") == [2, 1]
        assert numbers(image="debian") == numbers(image=OTHER.path) == [3, 2]
        assert numbers(user="alice") == [3, 1]
        assert numbers(failed=True) == [2]
        assert numbers(command="imaging-save") == [3]
        assert numbers(user="alice", node="fit03") == [3]
        assert numbers(user="' OR 1=1 --") == []
        newest_first = history.attempts(node="fit01")
        assert [a.run_id[13:15] for a in newest_first] == ["02", "01"]


def test_which_image_is_on_a_node(path: Path) -> None:
    assert image_of(path) is None
    record(path, report(1, failed("fit01", Step.BOOT)))
    assert image_of(path) is None
    record(path, report(2, fine("fit01")), report(3, fine("fit01"), command="imaging-save"))
    expected = NodeImage("fit01", IMAGE, 2030.75, "alice", "20260101-000002-00000a", False)
    assert image_of(path) == expected
    record(path, report(4, failed("fit01", Step.CHECK), image=OTHER, user="bob"))
    assert image_of(path) == expected, "that load did not get to the disk"
    record(path, report(5, failed("fit01", Step.TRANSFER), image=OTHER, user="bob"))
    half = image_of(path)
    assert half is not None
    assert (half.image, half.user, half.half_written) == (OTHER, "bob", True)
    record(path, report(6, failed("fit01", Step.SSH), image=IMAGE))
    whole = image_of(path)
    assert whole is not None
    assert (whole.image, whole.half_written) == (IMAGE, False), "all was written by then"
    assert image_of(path, "fit02") is None


def test_a_half_written_attempt_counts_within_its_run_too(path: Path) -> None:
    first = failed("fit01", Step.TRANSFER)
    second = failed("fit01", Step.BOOT, {Step.POWER: 0.5})
    outcome = NodeOutcome(
        "fit01", second.reason, second.step, "", second.durations, attempts=(first,)
    )
    record(path, report(1, fine("fit01")), report(2, outcome))
    found = image_of(path)
    assert found is not None
    assert found.half_written


def test_typical_durations(path: Path) -> None:
    record(path, report(1, *(fine(f"n{n}", {Step.BOOT: 1000.0}) for n in range(5))))
    boots = [*range(1, 20), 500]
    record(
        path,
        report(2, *(fine(f"n{n}", {Step.BOOT: float(boot)}) for n, boot in enumerate(boots))),
        report(3, failed("fit01", Step.TRANSFER, {Step.BOOT: 9999.0})),
    )
    with open_history(path) as history:
        assert history.typical_durations("imaging-load") == {Step.BOOT: 10.5}
        assert history.typical_durations("imaging-save") == {}
        assert history.typical_durations("imaging-load", OTHER.path) == {}


def test_runs_are_counted(path: Path) -> None:
    with open_history(path, writing=False) as history:
        assert history.run_counts() == {}
    good = report(1, fine("fit01")), report(2, fine("fit01"))
    bad = report(3, failed("fit01", Step.BOOT))
    record(path, *good, bad, report(4, fine("fit01"), command="imaging-save"))
    with open_history(path, writing=False) as history:
        assert history.run_counts() == {
            ("imaging-load", True): 2,
            ("imaging-load", False): 1,
            ("imaging-save", True): 1,
        }


def test_a_step_is_typical_when_most_nodes_have_taken_it(path: Path) -> None:
    waited = {**STEPS, Step.SSH: 30.0}
    record(path, report(1, fine("fit01", waited), fine("fit02"), fine("fit03")))
    with open_history(path) as history:
        assert history.typical_durations("imaging-load") == STEPS
    record(path, report(2, fine("fit01", waited), fine("fit02", waited)))
    with open_history(path) as history:
        assert history.typical_durations("imaging-load") == waited


def test_text_may_be_anything(path: Path) -> None:
    image = ImageFacts("caf\udce9", "/images/caf\udce9.ndz", 1)
    node = NodeOutcome("fit01", Reason.STALLED, Step.BOOT, "a\0b\udcff\n'\"é", {})
    record(path, report(1, node, image=image))
    with open_history(path) as history:
        (run,), (attempt,) = history.runs(), history.attempts(node="fit01")
    assert run.image is not None
    assert run.image.name == r"caf\udce9"
    assert attempt.message == "a\0b\\udcff\n'\"é"
