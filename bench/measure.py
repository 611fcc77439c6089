"""Rows of the result table, and samples taken in turn so that noise of the machine meets both sides alike."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from bench.processes import Child, Json


@dataclass(frozen=True, slots=True)
class Sample:
    """One run of `count` deliveries or calls."""

    count: int
    seconds: float
    cpu: float

    @property
    def rate(self) -> float:
        return self.count / self.seconds

    @property
    def cpu_ms(self) -> float:
        return self.cpu / self.count * 1000


Sampler = Callable[[], Awaitable[Sample]]


async def in_turn(rounds: int, samplers: Mapping[str, Sampler]) -> dict[str, list[Sample]]:
    """A B C A B C …, each side `rounds` times."""
    taken: dict[str, list[Sample]] = {name: [] for name in samplers}
    for _ in range(rounds):
        for name, sampler in samplers.items():
            taken[name].append(await sampler())
    return taken


def rate(samples: Sequence[Sample]) -> float:
    """The median of deliveries a second."""
    return median(sample.rate for sample in samples)


def cpu_ms(samples: Sequence[Sample]) -> float:
    """The median of CPU milliseconds per delivery."""
    return median(sample.cpu_ms for sample in samples)


def times(samples: Sequence[Sample], reference: Sequence[Sample]) -> float:
    """The median of how many times the CPU of a reference's delivery each took, in the same round."""
    return median(ours.cpu_ms / theirs.cpu_ms for ours, theirs in zip(samples, reference, strict=True))


async def watched(child: Child, count: int, work: Callable[[], Awaitable[float]]) -> Sample:
    """Run `work`, which returns the moment of its end, while the CPU time of `child` and its children is counted."""
    cpu, started = child.cpu_seconds(), time.monotonic()
    ended = await work()
    return Sample(count, ended - started, child.cpu_seconds() - cpu)


def sample_of(answer: Json) -> Sample:
    """What a reference loop answered."""
    return Sample(answer["count"], answer["seconds"], answer["cpu"])


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least `share` of all values do not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, max(0, round(share * len(ordered) + 0.5) - 1))]


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table. `reference` and `ratio` are empty where a number stands alone, `target` if none is set."""

    what: str
    measured: str
    reference: str
    ratio: str
    target: str
    reached: bool


def at_least(what: str, samples: Sequence[Sample], name: str, reference: Sequence[Sample], target: float) -> Row:
    """Herald's rate as a multiple of a reference's."""
    ours, theirs = rate(samples), rate(reference)
    ratio = ours / theirs
    return Row(
        what, f"{ours:.0f}/s", f"{name}: {theirs:.0f}/s", f"{ratio:.2f}", f"at least {target:g} times", ratio >= target
    )


def within(what: str, value: float, most: float, unit: str, *, reference: str = "", also: bool = True) -> Row:
    """A number that must not exceed a limit; `also` is a further condition."""
    digits = 0 if most >= 20 else 2
    return Row(what, f"{value:.{digits}f} {unit}", reference, "", f"at most {most:g} {unit}", value <= most and also)


HEADER = ("what", "measured", "reference", "ratio", "target", "reached")


def _cells(row: Row) -> tuple[str, ...]:
    reached = "yes" if row.reached else "**no**"
    return (row.what, row.measured, row.reference, row.ratio, row.target, reached if row.target else "")


def markdown(rows: Sequence[Row]) -> str:
    """The table for the documentation."""
    lines = [HEADER, tuple("---" for _ in HEADER), *map(_cells, rows)]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def plain(rows: Sequence[Row]) -> str:
    """The table for a terminal."""
    lines = [HEADER, *(tuple(cell.strip("*") for cell in _cells(row)) for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(HEADER))]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) for line in lines)
