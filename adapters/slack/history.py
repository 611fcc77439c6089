"""Looking back: is a delivery whose answer was lost in the person's conversation after all?

https://docs.slack.dev/reference/methods/conversations.history. The look needs the scope im:history, and im:write as
well where the conversation's id is not known: conversations.open is repeatable and tells it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy.exc import SQLAlchemyError

from adapters.base import (
    Address,
    BotId,
    DeliveryId,
    Fault,
    FaultClass,
    Gate,
    Look,
    LookLater,
    MayNotLook,
    NotThere,
    SeenAs,
)
from adapters.ids import readable
from adapters.slack import faults, limits
from adapters.slack.client import Answer, Failure, SlackClient
from adapters.slack.installations import Installed, SlackInstallations
from adapters.slack.outbound import EVENT_TYPE
from adapters.slack.paging import OddCursor, next_cursor

HISTORY = "conversations.history"
OPEN = "conversations.open"
MAX_PAGES = 20
RETRY_SECONDS = 10.0

# Slack's clock marks the messages and ours the send: a host that is ahead, or was when it sent, would look only at
# what came after its message and find nothing. Messages are told apart by the delivery's id, so looking far costs
# little: the newest come first, and few people get more than one page a day.
BACK_SECONDS = 86_400.0

TOO_MANY = "The conversation holds too many messages to be searched: ask the person before you send again."

LOOK_SCOPE = "im:history"
OPEN_SCOPE = "im:write"


class SlackLooker:
    """Finds deliveries in direct messages by the metadata that marks them."""

    def __init__(self, client: SlackClient, installations: SlackInstallations) -> None:
        self._client = client
        self._installations = installations

    async def __call__(self, bot: BotId, address: Address, delivery: DeliveryId, since: float, gate: Gate) -> Look:
        """Look for one delivery that went on the wire at `since` (epoch seconds), every call through the gate."""
        try:
            speaker = await self._installations.speaker(bot, address.tenant)
        except SQLAlchemyError:
            return LookLater(RETRY_SECONDS, faults.STORAGE_FAILED)
        if isinstance(speaker, Fault):
            return LookLater(RETRY_SECONDS, speaker)
        missing = _missing_scope(speaker, address.conversation_id)
        if missing is not None:
            return MayNotLook(missing.reason, missing.remedy)
        conversation = address.conversation_id
        if conversation is None:
            opened = await self._open(speaker, address.user_id, gate)
            if not isinstance(opened, str):
                return opened
            conversation = opened
        return await self._search(speaker, conversation, delivery, since, gate)

    async def _open(self, speaker: Installed, user_id: str, gate: Gate) -> str | MayNotLook | LookLater:
        result = await self._call(speaker, gate, OPEN, users=user_id)
        if isinstance(result, Failure):
            return _unable(result)
        channel = result.body.get("channel")
        found = readable(channel.get("id")) if isinstance(channel, dict) else None
        if found is None:
            return _unread("no_channel_id")
        return found

    async def _search(
        self, speaker: Installed, conversation: str, delivery: DeliveryId, since: float, gate: Gate
    ) -> Look:
        """Read the conversation back to long before the send; only a whole reading proves absence."""
        cursor: str | None = None
        for _ in range(MAX_PAGES):
            result = await self._call(
                speaker,
                gate,
                HISTORY,
                channel=conversation,
                oldest=f"{since - BACK_SECONDS:.6f}",
                limit=limits.HISTORY_PAGE,
                include_all_metadata=True,
                cursor=cursor,
            )
            if isinstance(result, Failure):
                return _unable(result)
            messages = result.body.get("messages")
            if not isinstance(messages, list) or not all(isinstance(each, dict) for each in messages):
                return _unread("no_messages")
            found = _find(messages, delivery)
            if found is not None:
                timestamp = readable(found.get("ts"))
                return _unread("no_message_id") if timestamp is None else SeenAs(timestamp, conversation)
            following = next_cursor(result.body)
            if isinstance(following, OddCursor):
                return _unread("odd_cursor")
            if following is None:
                return NotThere() if not result.body.get("has_more") else _unread("no_cursor")
            cursor = following
        return MayNotLook("no_clear_answer", TOO_MANY)  # the window only grows: asking again would end here too

    async def _call(self, speaker: Installed, gate: Gate, method: str, **arguments: Any) -> Answer | Failure:
        await gate.enter(method)
        result = await self._client.call(method, speaker.token, team_id=speaker.tenant, **arguments)
        if isinstance(result, Failure) and result.throttled:
            gate.throttled(method, result.retry_after)
        return result


def _missing_scope(speaker: Installed, conversation_id: str | None) -> Fault | None:
    needed = [LOOK_SCOPE] if conversation_id is not None else [LOOK_SCOPE, OPEN_SCOPE]
    for scope in needed:
        if scope not in speaker.scopes:
            return faults.classify(200, {"error": "missing_scope", "needed": scope})
    return None


def _unable(failure: Failure) -> MayNotLook | LookLater:
    fault = failure.as_read
    if fault.klass is FaultClass.REFUSED or fault.reason == faults.MISSING_SCOPE.reason:
        return MayNotLook(fault.reason, fault.remedy)
    return LookLater(RETRY_SECONDS if failure.retry_after is None else failure.retry_after, fault)


def _unread(code: str) -> LookLater:
    """Slack answered, and neither presence nor absence can be read from it."""
    return LookLater(RETRY_SECONDS, faults.of_a_read(faults.not_answered(code)))


def _find(messages: Sequence[Mapping[str, Any]], delivery: DeliveryId) -> Mapping[str, Any] | None:
    """The message that carries the delivery's id."""
    for message in messages:
        metadata = message.get("metadata")
        if not isinstance(metadata, dict) or metadata.get("event_type") != EVENT_TYPE:
            continue
        payload = metadata.get("event_payload")
        if isinstance(payload, dict) and payload.get("delivery") == delivery:
            return message
    return None
