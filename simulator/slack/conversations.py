"""Direct messages: one conversation for each app's bot user and person, with its messages in order."""

from bisect import bisect_left, bisect_right
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from simulator.slack.apps import Install
from simulator.slack.directory import User, Workspace, base36

Message = dict[str, Any]


@dataclass(slots=True)
class Conversation:
    """The direct message of one bot user with one person."""

    id: str
    workspace: Workspace
    bot_user_id: str
    user_id: str
    created: int
    stamps: list[str] = field(default_factory=list)
    """The `ts` of every message, in order."""
    messages: dict[str, Message] = field(default_factory=dict)

    def add(self, ts: str, message: Message) -> None:
        """Append a message."""
        self.stamps.append(ts)
        self.messages[ts] = message

    def remove(self, ts: str) -> None:
        """Delete a message."""
        self.stamps.remove(ts)
        del self.messages[ts]

    def between(self, oldest: str, latest: str, inclusive: bool) -> list[str]:
        """The `ts` values in a range, newest first; an empty bound is open."""
        left, right = (bisect_left, bisect_right) if inclusive else (bisect_right, bisect_left)
        start = left(self.stamps, oldest) if oldest else 0
        end = right(self.stamps, latest) if latest else len(self.stamps)
        return self.stamps[start:end][::-1]


class Conversations:
    """Every direct message of the simulated Slack, and the clock of its `ts`."""

    def __init__(self) -> None:
        self._by_id: dict[str, Conversation] = {}
        self._by_pair: dict[tuple[str, str], Conversation] = {}
        self._last_stamp = 0

    def stamp(self, now: datetime) -> str:
        """A new `ts`: seconds and microseconds, unique and growing."""
        self._last_stamp = max(int(now.timestamp() * 1_000_000), self._last_stamp + 1)
        seconds, micros = divmod(self._last_stamp, 1_000_000)
        return f"{seconds}.{micros:06d}"

    def between(self, bot_user_id: str, user_id: str) -> Conversation | None:
        """The conversation of a bot user and a person, if it exists."""
        return self._by_pair.get((bot_user_id, user_id))

    def open(self, install: Install, workspace: Workspace, user: User, now: datetime) -> tuple[Conversation, bool]:
        """The conversation with a person, and whether it was new."""
        known = self._by_pair.get((install.bot_user_id, user.id))
        if known is not None:
            return known, False
        number = len(self._by_id) + 1
        conversation = Conversation(
            f"D0{base36(number, 8)}", workspace, install.bot_user_id, user.id, int(now.timestamp())
        )
        self._by_id[conversation.id] = conversation
        self._by_pair[(install.bot_user_id, user.id)] = conversation
        return conversation, True

    def of(self, install: Install, channel_id: str) -> Conversation | None:
        """The conversation of this id, if this app's bot takes part in it."""
        found = self._by_id.get(channel_id)
        return found if found is not None and found.bot_user_id == install.bot_user_id else None

    def get(self, channel_id: str) -> Conversation | None:
        """The conversation of this id, whoever takes part."""
        return self._by_id.get(channel_id)

    def forget(self, channel_id: str) -> bool:
        """Make an id invalid, so that the next message opens a new conversation."""
        found = self._by_id.pop(channel_id, None)
        if found is None:
            return False
        del self._by_pair[(found.bot_user_id, found.user_id)]
        self._by_id[f"forgotten {channel_id}"] = found  # keeps the numbers of new ids unique
        return True

    def clear_messages(self) -> None:
        """Empty every conversation; ids stay valid."""
        for conversation in self._by_id.values():
            conversation.stamps.clear()
            conversation.messages.clear()
