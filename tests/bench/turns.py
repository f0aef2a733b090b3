"""Cases that take turns: A B A B, after one run of each that is not counted."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from tests.bench.processes import BenchError
from tests.bench.statistics import Sample

Say = Callable[[str], None]
SomeSample = TypeVar("SomeSample", bound=Sample)


@dataclass(frozen=True, slots=True)
class Case(Generic[SomeSample]):
    """Something that is measured again and again; ``run`` checks what has come out."""

    name: str
    run: Callable[[], SomeSample]


@dataclass(slots=True)
class Turns(Generic[SomeSample]):
    """The samples of each case, those of the same round at the same place; why others failed."""

    samples: dict[str, list[SomeSample]] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)


def take_turns(cases: Sequence[Case[SomeSample]], runs: int, say: Say) -> Turns[SomeSample]:
    """Run all cases in turn. One that fails is told, and left out from then on."""
    turns: Turns[SomeSample] = Turns({case.name: [] for case in cases})
    for round_number in range(runs + 1):
        label = f"{round_number}/{runs}" if round_number else "warm-up"
        for case in cases:
            if case.name in turns.failures:
                continue
            try:
                sample = case.run()
            except BenchError as error:
                turns.failures[case.name] = str(error)
                turns.samples.pop(case.name)
                say(f"  {label:8} {case.name}: FAILED: {error}")
                continue
            if round_number:
                turns.samples[case.name].append(sample)
            say(f"  {label:8} {case.name}: {sample.wall_s:.2f} s")
    return turns
