"""PURE: one payload for many people. It is serialised once; for each person only the parts that differ are put in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import orjson

_PERSONAL = ("conversation", "recipient", "from", "id", "replyToId", "serviceUrl", "channelId")


@dataclass(frozen=True, slots=True)
class Prepared:
    """A serialised activity without what differs from person to person, open at its end."""

    head: bytes


def prepare(payload: Mapping[str, Any]) -> Prepared:
    """Serialise an activity; what names a person, a conversation or a host is ours to write, never the payload's."""
    shared = {"type": "message"} | {key: value for key, value in payload.items() if key not in _PERSONAL}
    return Prepared(orjson.dumps(shared)[:-1])


def activity_for(prepared: Prepared, account: str, conversation_id: str, channel_id: str) -> bytes:
    """The activity for one person. The connector wants `from`; `recipient` is only named by a Teams id (`29:…`)."""
    recipient = b',"recipient":{"id":%b}' % orjson.dumps(channel_id) if channel_id.startswith("29:") else b""
    return b'%b,"from":{"id":%b},"conversation":{"id":%b}%b}' % (
        prepared.head,
        orjson.dumps(account),
        orjson.dumps(conversation_id),
        recipient,
    )


def activities_url(service_url: str, conversation_id: str) -> str:
    """Where activities of a conversation are posted."""
    return f"{service_url.rstrip('/')}/v3/conversations/{quote(conversation_id, safe='')}/activities"
