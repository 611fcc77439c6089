"""Sending: one `chat.postMessage` to the person's user id; Slack opens the direct message itself.

https://docs.slack.dev/reference/methods/chat.postMessage. The delivery's id travels in the message's metadata, which
is what a later look at the conversation recognises it by (history.py).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson
from sqlalchemy.exc import SQLAlchemyError

from adapters.base import (
    Address,
    BotId,
    ChannelName,
    ChannelPace,
    DeliveryId,
    Fault,
    FaultClass,
    Gate,
    MethodPace,
    Note,
    NotSent,
    Outcome,
    Refused,
    Sent,
    Uncertain,
    unheard,
)
from adapters.ids import readable
from adapters.slack import faults, limits
from adapters.slack.client import Answer, Failure, SlackClient
from adapters.slack.config import SlackPace
from adapters.slack.installations import Installed, SlackInstallations

POST = "chat.postMessage"
EVENT_TYPE = "herald_delivery"

# Who the message goes to, whose it is and what marks it are ours alone; a name of one's own would move the message
# into the person's Slackbot conversation, where nobody can delete it.
RESERVED = frozenset(
    {
        "token",
        "channel",
        "team_id",
        "metadata",
        "username",
        "icon_url",
        "icon_emoji",
        "as_user",
        "client_msg_id",
        "reply_broadcast",
    }
)


@dataclass(frozen=True, slots=True)
class Prepared:
    """A payload whose fields are JSON already."""

    fields: Mapping[str, orjson.Fragment]


def in_any_minute(most: float, burst: float) -> MethodPace:
    """A pace that makes at most `most` calls in any sixty seconds, the ones at once included."""
    if most < 2:
        return MethodPace(most / 60, 1.0)
    burst = max(1.0, min(burst, most / 2))
    return MethodPace((most - burst) / 60, burst)


def buckets(pace: SlackPace) -> dict[str, MethodPace]:
    """How fast each method may be called in one lane."""
    return {
        POST: MethodPace(pace.posts_per_second, pace.burst),
        "users.lookupByEmail": in_any_minute(pace.lookups_per_minute, limits.LOOKUP_BURST),
        "users.list": in_any_minute(pace.lists_per_minute, limits.LIST_BURST),
        "conversations.open": in_any_minute(limits.TIER_3, limits.OTHER_BURST),
        "conversations.history": in_any_minute(limits.TIER_3, limits.OTHER_BURST),
        "auth.teams.list": in_any_minute(limits.TIER_2, limits.LIST_BURST),
        "auth.test": in_any_minute(limits.AUTH_TEST, limits.OTHER_BURST),
    }


def marker(delivery: DeliveryId) -> dict[str, Any]:
    """The metadata that names a delivery."""
    return {"event_type": EVENT_TYPE, "event_payload": {"delivery": delivery}}


class SlackChannel:
    """Slack as a Channel."""

    name = ChannelName.SLACK

    def __init__(self, client: SlackClient, installations: SlackInstallations, pace: SlackPace | None = None) -> None:
        self._client = client
        self._installations = installations
        self._pace = pace or SlackPace()

    def pace(self) -> ChannelPace:
        """One bucket per Slack method, because Slack counts by method and workspace."""
        return ChannelPace(
            send=POST,
            buckets=buckets(self._pace),
            in_flight=self._pace.in_flight,
            learns=True,
            windows=limits.CHANNEL_WINDOWS,
        )

    def prepare(self, payload: Mapping[str, Any]) -> Prepared:
        """Serialise the payload once; links unfold only where it says so."""
        given = {name: value for name, value in payload.items() if name not in RESERVED and value is not None}
        defaults = {"unfurl_links": False, "unfurl_media": False}
        return Prepared({name: orjson.Fragment(_json(value)) for name, value in {**defaults, **given}.items()})

    def shows(self, prepared: object) -> bool:
        """The conversation's history leaves answers in a thread out."""
        return not isinstance(prepared, Prepared) or "thread_ts" not in prepared.fields

    async def warm(self, bot: BotId) -> None:
        """Nothing: a token comes with its installation."""

    async def open(self, bot: BotId, address: Address, gate: Gate, note: Note = unheard) -> Address | NotSent | Refused:
        """Nothing to open: the user id is enough."""
        return address

    async def send(self, bot: BotId, address: Address, prepared: object, delivery: DeliveryId) -> Outcome:
        """Post once."""
        if not isinstance(prepared, Prepared):
            raise TypeError("the payload was not prepared by this channel")
        try:
            speaker = await self._installations.speaker(bot, address.tenant)
        except SQLAlchemyError:
            return NotSent(faults.STORAGE_FAILED)
        if isinstance(speaker, Fault):
            return NotSent(speaker)
        result = await self._client.call(
            POST,
            speaker.token,
            **prepared.fields,
            channel=address.user_id,
            team_id=address.tenant,
            metadata=marker(delivery),
        )
        if isinstance(result, Failure):
            return await self._failed(speaker, result)
        if speaker.dead_reason is not None:
            await self._installations.mark(speaker, None)
        return _sent(result)

    async def _failed(self, speaker: Installed, failure: Failure) -> Outcome:
        fault = failure.fault
        if fault.reason in ("installation_revoked", "credentials_rejected"):
            await self._installations.mark(speaker, fault.reason)
        if fault.klass is FaultClass.UNCERTAIN:
            return Uncertain(fault)
        if fault.klass is FaultClass.REFUSED:
            return Refused(fault)
        return NotSent(fault, failure.retry_after, POST if failure.throttled else None)


def _json(value: object) -> bytes:
    try:
        return orjson.dumps(value)
    except TypeError:  # a number beyond 64 bits, half a surrogate pair: let Slack say what it thinks of it
        return json.dumps(value).encode()


def _sent(answer: Answer) -> Outcome:
    timestamp, given = readable(answer.body.get("ts")), answer.body.get("channel")
    channel = readable(given)
    if timestamp is None or (channel is None and given):
        return Uncertain(faults.NO_MESSAGE_ID)
    return Sent(timestamp, channel)
