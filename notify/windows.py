"""What one conversation may get: at most so many sends in any span of so many seconds, several spans at once.

PURE: time is an argument (monotonic seconds). Beside the lane's pace this matters to people who are in many requests
at the same moment; everybody else never meets it. Memory is bounded by the lane's own pace: one moment is kept for each
send of the longest span.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

MARGIN_SECONDS = 0.25  # the platform counts when a call arrives, which may be later for one and earlier for the next
SWEEP_EVERY = 10_000  # sends between two looks for conversations that have been quiet for the longest span


class Windows:
    """The sends of each conversation in one lane. `limits`: (seconds, sends), in any order; empty: no limit."""

    def __init__(self, limits: Sequence[tuple[float, int]]) -> None:
        self._limits = tuple(limits)
        self._longest = max((seconds for seconds, _ in limits), default=0.0) + MARGIN_SECONDS
        self._sent: dict[str, deque[float]] = {}
        self._until_sweep = SWEEP_EVERY

    def __len__(self) -> int:
        """How many conversations are remembered."""
        return len(self._sent)

    def ready_at(self, conversation: str, now: float) -> float:
        """The first moment at which one more send fits into every span."""
        sent = self._sent.get(conversation)
        if sent is None:
            return now
        full = (sent[-most] + seconds + MARGIN_SECONDS for seconds, most in self._limits if len(sent) >= most)
        return max((now, *full))

    def took(self, conversation: str, now: float) -> None:
        """One send is released now."""
        if not self._limits:
            return
        sent = self._sent.setdefault(conversation, deque())
        sent.append(now)
        while sent[0] < now - self._longest:
            sent.popleft()
        self._until_sweep -= 1
        if self._until_sweep <= 0:
            self._sweep(now)

    def went(self, conversation: str, count: int, now: float) -> None:
        """The `count` sends that were released last go on the wire only now: their intents had to be committed."""
        sent = self._sent.get(conversation)
        if sent is not None:
            for place in range(1, min(count, len(sent)) + 1):
                sent[-place] = max(sent[-place], now)

    def _sweep(self, now: float) -> None:
        self._until_sweep = SWEEP_EVERY
        self._sent = {name: sent for name, sent in self._sent.items() if sent[-1] >= now - self._longest}
