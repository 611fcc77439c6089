"""What a caller gave as a message: how it is read."""

from __future__ import annotations

from adapters.base import ChannelName
from notify import intake
from notify.intake import Style
from notify.message import Kind, Message


class TestScript:
    def test_mark(self) -> None:
        """A byte order mark at the very start changes nothing, before JSON and before a script."""
        for said, kind in (('{"text": "Hi"}', Kind.NATIVE), ("print('Hi')", Kind.SCRIPT)):
            plain = intake.read(ChannelName.SLACK, "script", said, Style(), "message.val")

            assert isinstance(plain, Message)
            assert kind is plain.kind
            assert plain == intake.read(ChannelName.SLACK, "script", f"\ufeff{said}", Style(), "message.val")
