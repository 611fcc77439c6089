"""PURE: the steps of a delivery, bounded: equal steps in a row are one, and of very many the middle is left out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any, Final

from adapters.base import TraceStep

MOST: Final = 24
MOST_OF_A_CODE: Final = 100
FIRST: Final = 8  # of these, the ones that tell how it began


class Trace:
    """The steps in the order in which they happened.

    `tenant` is where the next ones happen, for a delivery that several tenants may be asked about.
    """

    def __init__(self, steps: Iterable[TraceStep] = (), *, tenant: str = "") -> None:
        self._steps: list[TraceStep] = []
        self._tenant = ""
        self.extend(steps)
        self._tenant = tenant

    def __iter__(self) -> Iterator[TraceStep]:
        return iter(self._steps)

    def __len__(self) -> int:
        return len(self._steps)

    def append(self, step: TraceStep) -> None:
        """Note a step; one that only repeats the last takes its place, with the newer age."""
        step = step if step.tenant else replace(step, tenant=self._tenant)
        if self._steps and _ageless(self._steps[-1]) == _ageless(step):
            self._steps[-1] = step
            return
        self._steps.append(step)
        if len(self._steps) > MOST:
            del self._steps[FIRST]

    def conclude(self, step: TraceStep) -> None:
        """Note a step that is about all tenants."""
        here, self._tenant = self._tenant, ""
        self.append(step)
        self._tenant = here

    def extend(self, steps: Iterable[TraceStep]) -> None:
        """Note several steps in turn."""
        for step in steps:
            self.append(step)

    def clear(self) -> None:
        """Forget every step."""
        self._steps.clear()


def _ageless(step: TraceStep) -> TraceStep:
    return replace(step, age_seconds=None)


def stored(step: TraceStep) -> dict[str, Any]:
    """A step as it is stored; what it does not know is left out."""
    kept: dict[str, Any] = {"source": step.source, "result": step.result}
    if step.age_seconds is not None:
        kept["age_seconds"] = step.age_seconds
    if step.code:
        kept["code"] = step.code[:MOST_OF_A_CODE]
    if step.tenant:
        kept["tenant"] = step.tenant
    return kept
