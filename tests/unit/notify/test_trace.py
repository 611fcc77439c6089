"""What a delivery has been through, in few steps."""

from __future__ import annotations

from adapters.base import TraceStep
from notify.trace import FIRST, MOST, Trace

THROTTLED = TraceStep("graph", "throttled", 3.0, "http_429")


def test_repetitions() -> None:
    """A step that only repeats the last one is no other step; its age is the newer one."""
    trace = Trace([TraceStep("directory", "found", 5.0)])
    for age in range(50):
        trace.append(TraceStep("graph", "throttled", float(age), "http_429"))

    assert [TraceStep("directory", "found", 5.0), TraceStep("graph", "throttled", 49.0, "http_429")] == list(trace)


def test_differences() -> None:
    """Another source, result, code or tenant is another step."""
    others = [
        TraceStep("send", "throttled", 3.0, "http_429"),
        TraceStep("graph", "lookup_failed", 3.0, "http_429"),
        TraceStep("graph", "throttled", 3.0, "http_503"),
        TraceStep("graph", "throttled", 3.0, "http_429", "tenant-2"),
    ]

    assert all(len(Trace([THROTTLED, other])) == 2 for other in others)


def test_tenants() -> None:
    """Where several tenants may be asked, each step names the one in which it happened."""
    placed = [TraceStep("installations", "2 tenants to ask")]
    first = Trace(placed, tenant="tenant-1")
    first.append(TraceStep("graph", "person_not_found", 0.0))
    second = Trace(first, tenant="tenant-2")
    second.append(TraceStep("graph", "person_not_found", 0.0))

    assert ["", "tenant-1", "tenant-2"] == [step.tenant for step in second]


def test_bound() -> None:
    """Of very many steps the first and the newest are kept, and the middle is left out."""
    steps = [TraceStep("send", f"result {number}") for number in range(200)]

    assert [*steps[:FIRST], *steps[-(MOST - FIRST) :]] == list(Trace(steps))


def test_forgotten() -> None:
    """What was forgotten begins anew."""
    trace = Trace([THROTTLED])
    trace.clear()
    trace.extend([THROTTLED, THROTTLED])

    assert [THROTTLED] == list(trace)
