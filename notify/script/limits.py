"""PURE: what one script may use."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds for each recipient, and two for a request as a whole."""

    cpu_seconds: float = 0.1
    memory_bytes: int = 32 * 1024**2
    output_bytes: int = 256 * 1024
    stack_bytes: int = 512 * 1024
    log_lines: int = 20
    log_characters: int = 500
    answer_seconds: float = 5.0  # on the clock, for what the processor's time does not see
    total_seconds: float = 60.0  # of a request, in all its processes
    trial: int = 20  # recipients after whose common, costly failure the rest of a request is not tried
