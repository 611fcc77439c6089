"""PURE: what an inbound activity says, as one value. Attachments are never read; texts only to know a button's words.

The raw JSON is read, not botbuilder's model: its schema maps `tenant_id` to `tenantID` and loses the `tenantId` that
Teams sends. Shapes: msteams-docs `bots/how-to/conversations/subscribe-to-conversation-events.md`.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, Literal

from adapters.evidence import EvidenceKind, Press, Said
from adapters.ids import MAX_CONVERSATION, MAX_ID, readable
from adapters.teams.presses import press_of, said_of

READ_RECEIPT: Final = "application/vnd.microsoft.readReceipt"
_TENANT: Final = re.compile(r"[A-Za-z0-9.-]{1,64}")

Change = Literal["installed", "removed", "seen", "none"]


@dataclass(frozen=True, slots=True)
class TeamsPerson:
    """The human of a personal chat: Entra object id where Teams told it, and the `29:` id."""

    user_id: str
    channel_id: str


@dataclass(frozen=True, slots=True)
class TeamsEvent:
    """One activity. `person` is set in personal scope only; `key` identifies repeats of the same activity."""

    kind: str
    change: Change
    tenant: str | None
    service_url: str
    conversation_id: str | None
    person: TeamsPerson | None
    at: float
    key: str | None
    evidence: EvidenceKind | None
    message_id: str | None
    own_key: str | None = None
    """The key that `message_id` was handled under if it is the person's own message, where evidence may name one."""
    press: Press | None = None
    said: Said | None = None
    by: str | None = None
    """Whose doing it is: the sender's Entra object id or `29:` id, where Teams names a human."""


def read_event(body: Mapping[str, Any], headers: Mapping[str, str], now: float) -> TeamsEvent:
    """The event in an activity whose `type` and `serviceUrl` have been checked; total."""
    conversation = _object(body.get("conversation"))
    conversation_id = _id(conversation, MAX_CONVERSATION)
    evidence, message_id = _evidence(body)
    key = _key(body, conversation_id)
    said = said_of(body, key)
    may_be_own = message_id is not None and evidence != "button"  # buttons stand on our cards only
    return TeamsEvent(
        kind=str(body["type"])[:64],
        change=_change(body),
        tenant=_tenant(body, conversation, headers),
        service_url=str(body["serviceUrl"]),
        conversation_id=conversation_id,
        person=_person(body) if _is_personal(conversation, conversation_id) else None,
        at=_moment(body.get("timestamp"), now),
        key=key,
        evidence=evidence if said is None else "reply",
        message_id=message_id,
        own_key=_hashed("message", "", conversation_id, str(message_id)) if may_be_own else None,
        press=press_of(body, key),
        said=said,
        by=_author(body),
    )


def _tenant(body: Mapping[str, Any], conversation: Mapping[str, Any], headers: Mapping[str, str]) -> str | None:
    """`channelData.tenant.id`, else `conversation.tenantId`, else the header that Teams sets beside them."""
    candidates = (
        _object(_object(body.get("channelData")).get("tenant")).get("id"),
        conversation.get("tenantId"),
        headers.get("x-ms-tenant-id"),
    )
    for found in candidates:
        if isinstance(found, str) and _TENANT.fullmatch(found):
            return found
    return None


def _is_personal(conversation: Mapping[str, Any], conversation_id: str | None) -> bool:
    kind = conversation.get("conversationType")
    if kind is None:
        return conversation.get("isGroup") is not True and (conversation_id or "").startswith("a:")
    return bool(kind == "personal")


def _person(body: Mapping[str, Any]) -> TeamsPerson | None:
    """The sender, unless that is the bot; then the first human among the added members."""
    bot = _id(_object(body.get("recipient")))
    for account in (_object(body.get("from")), *_accounts(body, "membersAdded"), *_accounts(body, "membersRemoved")):
        channel_id = _id(account)
        if channel_id is None or channel_id == bot or channel_id.startswith("28:"):
            continue
        return TeamsPerson(readable(account.get("aadObjectId")) or channel_id, channel_id)
    return None


def _author(body: Mapping[str, Any]) -> str | None:
    sender = _object(body.get("from"))
    channel_id = _id(sender)
    if channel_id is None or channel_id.startswith("28:"):
        return None
    return readable(sender.get("aadObjectId")) or channel_id


def _change(body: Mapping[str, Any]) -> Change:
    kind = body["type"]
    if kind == "installationUpdate":
        action = body.get("action")
        if action in ("add", "add-upgrade"):
            return "installed"
        return "removed" if action in ("remove", "remove-upgrade") else "none"
    if kind == "conversationUpdate":
        bot = _id(_object(body.get("recipient")))
        if bot is not None and any(_id(account) == bot for account in _accounts(body, "membersAdded")):
            return "installed"
        if bot is not None and any(_id(account) == bot for account in _accounts(body, "membersRemoved")):
            return "removed"
        return "none"
    return "seen" if kind == "message" else "none"


def _evidence(body: Mapping[str, Any]) -> tuple[EvidenceKind | None, str | None]:
    """What the activity proves about a message of ours, and which one."""
    kind, replied = body["type"], readable(body.get("replyToId"))
    if kind == "event" and body.get("name") == READ_RECEIPT:
        read = readable(_object(body.get("value")).get("lastReadMessageId"))
        return ("read", read) if read else (None, None)
    if replied is None:
        return None, None
    if kind == "message":
        return ("button" if body.get("value") is not None else "reply"), replied
    if kind == "invoke":
        return "button", replied
    return ("reaction", replied) if kind == "messageReaction" else (None, None)


def _key(body: Mapping[str, Any], conversation_id: str | None) -> str | None:
    """An activity's id is unique in its conversation only, and an edit repeats the id of its message."""
    activity_id = body.get("id")
    if not isinstance(activity_id, str) or not activity_id:
        return None
    return _hashed(str(body["type"]), str(body.get("action", "")), conversation_id, activity_id)


def _hashed(kind: str, action: str, conversation_id: str | None, activity_id: str) -> str:
    parts = "\0".join((kind, action, conversation_id or "", activity_id))
    return hashlib.sha256(parts.encode("utf-8", "replace")).hexdigest()


def _moment(value: object, now: float) -> float:
    """The platform's time of the event; never later than our own, and our own if there is none."""
    if not isinstance(value, str):
        return now
    try:
        moment = datetime.fromisoformat(value)
        return min((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp(), now)
    except (ValueError, OverflowError):
        return now


def _object(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _accounts(body: Mapping[str, Any], name: str) -> Sequence[Mapping[str, Any]]:
    listed = body.get(name)
    return [_object(account) for account in listed] if isinstance(listed, list) else []


def _id(value: Mapping[str, Any], most: int = MAX_ID) -> str | None:
    return readable(value.get("id"), most)
