"""Ratios that are kept from one version to the next, and what has become worse. Pure."""

import json
from collections.abc import Mapping
from dataclasses import dataclass

TOLERANCE = 0.25  # a ratio may fall by so much; machines and days differ

Ratios = Mapping[str, Mapping[str, float]]
"""By part and name; more is better."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """One ratio, then and now; None where there is none."""

    part: str
    name: str
    before: float | None
    now: float | None

    @property
    def is_worse(self) -> bool:
        """Whether it has fallen beyond what chance explains, or is measured no more."""
        if self.before is None:
            return False
        return self.now is None or self.now < self.before * (1 - TOLERANCE)


def compare(before: Ratios, now: Ratios) -> list[Comparison]:
    """Every ratio of the parts that have been run now; new ones too."""
    found: list[Comparison] = []
    for part, ratios in now.items():
        known = before.get(part, {})
        found += [
            Comparison(part, name, known.get(name), ratios.get(name))
            for name in [*known, *(name for name in ratios if name not in known)]
        ]
    return found


def unknown(before: Ratios, now: Ratios) -> list[str]:
    """The parts that were run and of which nothing is committed: a check of them says nothing."""
    return [part for part in now if part not in before]


def verdict(comparison: Comparison) -> str:
    """A line that tells it."""
    before, now = (
        "none" if value is None else f"{value:.2f}" for value in (comparison.before, comparison.now)
    )
    word = "WORSE" if comparison.is_worse else "new" if comparison.before is None else "fine"
    return f"{word:5} {comparison.part}: {comparison.name}: {before} before, {now} now"


def load(text: str) -> dict[str, dict[str, float]]:
    """What ``dump`` has written. Raises ValueError when it is something else."""
    data = json.loads(text)
    if not isinstance(data, dict):
        raise ValueError("the ratios are no JSON object")
    return {
        str(part): {str(name): float(value) for name, value in ratios.items()}
        for part, ratios in data.items()
    }


def dump(ratios: Ratios) -> str:
    """The file's text; sorted and rounded, so that a diff shows what has changed."""
    rounded = {
        part: {name: float(f"{value:.3g}") for name, value in values.items()}
        for part, values in ratios.items()
    }
    return json.dumps(rounded, indent=2, sort_keys=True) + "\n"
