"""The oracle: what each person really received. A send that failed or was refused never appears here."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

MessagePlatform = Literal["slack", "teams"]
Body = dict[str, Any]


@dataclass(slots=True)
class Message:
    """One message in the mailbox of one person, with the full body as the platform stored it."""

    platform: MessagePlatform
    tenant: str
    user_id: str
    email: str
    conversation: str
    message_id: str
    body: Body
    at: datetime
    name: str = ""
    """The name of the person at that time."""
    sender: str = ""
    """The name of the app that wrote it."""
    edits: list[tuple[datetime, Body]] = field(default_factory=list)
    deleted_at: datetime | None = None

    def as_json(self) -> dict[str, Any]:
        """The message as the control API shows it; `body` is what the person sees now."""
        return {
            "platform": self.platform,
            "tenant": self.tenant,
            "user_id": self.user_id,
            "email": self.email,
            "conversation": self.conversation,
            "message_id": self.message_id,
            "body": self.body,
            "at": self.at.isoformat(),
            "edits": [{"at": at.isoformat(), "body": body} for at, body in self.edits],
            "deleted_at": self.deleted_at.isoformat() if self.deleted_at else None,
        }


class Mailboxes:
    """All mailboxes of all platforms."""

    def __init__(self) -> None:
        self._by_person: dict[tuple[str, str, str], list[Message]] = {}
        self._by_id: dict[tuple[str, str, str, str], Message] = {}
        self._in_order: list[Message] = []

    def deliver(
        self,
        platform: MessagePlatform,
        tenant: str,
        user_id: str,
        conversation: str,
        message_id: str,
        body: Body,
        at: datetime,
        email: str = "",
        name: str = "",
        sender: str = "",
    ) -> Message:
        """Put a message into a person's mailbox."""
        message = Message(platform, tenant, user_id, email, conversation, message_id, body, at, name, sender)
        self._by_person.setdefault((platform, tenant, user_id), []).append(message)
        self._by_id[(platform, tenant, conversation, message_id)] = message
        self._in_order.append(message)
        return message

    def edit(
        self, platform: MessagePlatform, tenant: str, conversation: str, message_id: str, body: Body, at: datetime
    ) -> Message | None:
        """Replace what the person sees; None when there is no such message."""
        message = self.find(platform, tenant, conversation, message_id)
        if message is not None:
            message.edits.append((at, message.body))
            message.body = body
        return message

    def delete(
        self, platform: MessagePlatform, tenant: str, conversation: str, message_id: str, at: datetime
    ) -> Message | None:
        """Take a message away from the person; the oracle still knows that it was there."""
        message = self.find(platform, tenant, conversation, message_id)
        if message is not None:
            message.deleted_at = at
        return message

    def find(self, platform: MessagePlatform, tenant: str, conversation: str, message_id: str) -> Message | None:
        """The message of this id, unless it was deleted."""
        message = self._by_id.get((platform, tenant, conversation, message_id))
        return message if message is not None and message.deleted_at is None else None

    def of(self, platform: MessagePlatform, tenant: str, user_id: str, with_deleted: bool = False) -> list[Message]:
        """One person's messages in order of arrival."""
        found = self._by_person.get((platform, tenant, user_id), [])
        return [message for message in found if with_deleted or message.deleted_at is None]

    def all(self, with_deleted: bool = False) -> Iterator[Message]:
        """Every message of everybody in order of arrival."""
        return (message for message in self._in_order if with_deleted or message.deleted_at is None)

    def select(
        self,
        platform: str | None = None,
        tenant: str | None = None,
        user_id: str | None = None,
        email: str | None = None,
        with_deleted: bool = False,
    ) -> Iterator[Message]:
        """Messages that fit every given filter."""
        for message in self.all(with_deleted):
            if (
                (platform is None or message.platform == platform)
                and (tenant is None or message.tenant == tenant)
                and (user_id is None or message.user_id == user_id)
                and (email is None or message.email.lower() == email.lower())
            ):
                yield message

    def clear(self) -> None:
        """Empty every mailbox."""
        self._by_person.clear()
        self._by_id.clear()
        self._in_order.clear()


def count_by_person(messages: Iterable[Message]) -> dict[str, dict[str, int]]:
    """How many messages each person holds, by e-mail and by user id."""
    by_email: dict[str, int] = {}
    by_user: dict[str, int] = {}
    for message in messages:
        by_user[message.user_id] = by_user.get(message.user_id, 0) + 1
        if message.email:
            by_email[message.email] = by_email.get(message.email, 0) + 1
    return {"by_email": by_email, "by_user_id": by_user}
