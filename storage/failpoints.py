"""Named moments at which a process may die: every boundary between what is in memory, on disk and on the wire.

The crash tests iterate over `POINTS`, arm one in a child process through the environment, and compare what the
platforms hold afterwards with what the log says. Unarmed, reaching a point costs one comparison. A point does nothing
but end its own process as a power cut would, or freeze it as a starved or suspended machine would.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping
from typing import Final

VARIABLE: Final = "HERALD_TEST_FAILPOINT"  # NAME or NAME:COUNT, the COUNT-th time the point is reached (default 1)
FREEZE: Final = "freeze"  # NAME:COUNT:freeze stops the process instead of killing it

POINTS: Final[Mapping[str, str]] = {
    "accept.before_commit": "a request and its deliveries are written, not committed; the caller was told nothing",
    "accept.committed": "the request is on disk, the caller was not answered yet",
    "lane.claimed": "a drain has claimed its lane and done nothing else",
    "lane.recovered": "what a former owner left in flight was marked uncertain",
    "resolve.known": "stored addresses were read; nothing is written about it",
    "resolve.learned": "a look-up's answers are in the directory, the deliveries do not have their address yet",
    "teams.installed": "the app was installed for a person, their conversation is not known yet",
    "resolve.opened": "the platform opened a conversation, the delivery does not have it yet",
    "lane.moved": "deliveries were handed to their tenant's lane, which does not know yet",
    "intent.before_commit": "intents are written, not committed; nothing is on the wire",
    "intent.committed": "intents are on disk, nothing is on the wire",
    "wire.before": "one send is about to start; others may be on the wire",
    "wire.answered": "the platform answered a send, nobody has noted it",
    "record.before_progress": "results are written, not counted, not committed",
    "record.before_commit": "results are counted and requests closed, not committed",
    "record.committed": "results are on disk, memory does not know yet",
    "chore.done": "a chore's call was made and its effect stored, the chore is still there",
    "migrate.before_commit": "the schema was brought to this version, not committed",
    "purge.before_commit": "an old request lost its message, or some deliveries; not committed",
    "inbound.before_commit": "a platform's event is written, not committed; the platform was not answered",
    "inbound.committed": "a platform's event is on disk, the platform was not answered",
}


class UnknownFailpoint(ValueError):
    """The variable names a point that does not exist."""


class _Armed:
    """Which point is armed in this process, and how many times it may still be passed."""

    def __init__(self) -> None:
        self.name, self.left, self.signal = "", 0, signal.SIGKILL

    def set(self, setting: str) -> None:
        self.name, count, how = [*setting.split(":"), "", ""][:3]
        if self.name and self.name not in POINTS:
            raise UnknownFailpoint(f"{VARIABLE}: {self.name} is not one of {', '.join(POINTS)}")
        self.left = int(count or 1)
        self.signal = signal.SIGSTOP if how == FREEZE else signal.SIGKILL


_armed = _Armed()


def arm(setting: str | None) -> None:
    """Arm what the variable's value says; for a process that was forked after this module was imported."""
    _armed.set(setting or "")


def reach(name: str) -> None:
    """Die here if this point is armed and its turn has come."""
    if name != _armed.name:
        return
    _armed.left -= 1
    if _armed.left == 0:
        os.kill(os.getpid(), _armed.signal)


arm(os.environ.get(VARIABLE))
