"""What one conversation may get: at most so many sends in any span of so many seconds, several spans at once.

PURE: time is an argument (monotonic seconds). Beside the lane's pace this matters to people who are in many requests
at the same moment; everybody else never meets it. Memory is bounded by the lane's own pace: one moment is kept for each
send of the longest span.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence

MARGIN_SECONDS = 0.25  # the platform counts when a call arrives, which may be later for one and earlier for the next
SWEEP_EVERY = 10_000  # sends between two looks for conversations that have been quiet for the longest span


class Windows:
    """The sends of each conversation in one lane. `limits`: (seconds, sends), in any order; empty: no limit."""

    def __init__(self, limits: Sequence[tuple[float, int]]) -> None:
        self._limits = tuple(limits)
        self._longest = max((seconds for seconds, _ in limits), default=0.0) + MARGIN_SECONDS
        # an hour of sending is 170 000 people with one send each: a bare number for these, an array from the second on
        self._sent: dict[str, float | array[float]] = {}
        self._until_sweep = SWEEP_EVERY

    def __len__(self) -> int:
        """How many conversations are remembered."""
        return len(self._sent)

    def ready_at(self, conversation: str, now: float) -> float:
        """The first moment at which one more send fits into every span."""
        sent = _moments(self._sent.get(conversation))
        full = (sent[-most] + seconds + MARGIN_SECONDS for seconds, most in self._limits if len(sent) >= most)
        return max((now, *full))

    def took(self, conversation: str, now: float) -> None:
        """One send is released now."""
        if not self._limits:
            return
        sent = self._sent.get(conversation)
        oldest = now - self._longest
        if isinstance(sent, array):
            sent.append(now)
            while sent[0] < oldest:
                sent.pop(0)
        elif sent is None or sent < oldest:
            self._sent[conversation] = now
        else:
            self._sent[conversation] = array("d", (sent, now))
        self._until_sweep -= 1
        if self._until_sweep <= 0:
            self._sweep(now)

    def went(self, conversation: str, count: int, now: float) -> None:
        """The `count` sends that were released last go on the wire only now: their intents had to be committed."""
        sent = self._sent.get(conversation)
        if isinstance(sent, array):
            for place in range(1, min(count, len(sent)) + 1):
                sent[-place] = max(sent[-place], now)
        elif sent is not None and count > 0:
            self._sent[conversation] = max(sent, now)

    def _sweep(self, now: float) -> None:
        self._until_sweep = SWEEP_EVERY
        oldest = now - self._longest
        self._sent = {name: sent for name, sent in self._sent.items() if _moments(sent)[-1] >= oldest}


def _moments(sent: float | array[float] | None) -> Sequence[float]:
    """When a conversation was sent to, the oldest first."""
    if isinstance(sent, array):
        return sent
    return () if sent is None else (sent,)
