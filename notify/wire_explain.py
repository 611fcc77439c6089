"""The body of a call that explains one person."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import Field

from adapters.base import ChannelName
from notify import options
from notify.body import CROWDED, Bot, Problems, Strict, bounded, is_crowded, model, read
from notify.render import Problem
from notify.wire import on_channel


class ExplainBody(Strict):
    """Whom to explain."""

    channel: Literal["msteams", "slack"]
    identity: str
    identity_type: Annotated[Literal["resolve", "donotresolve"], Field(alias="userIdentityType")] = "resolve"
    look_up: Annotated[bool, Field(alias="lookUp")] = False
    options: Annotated[dict[str, Any], Field(default_factory=dict)]


@dataclass(frozen=True, slots=True)
class Explanation:
    """A valid call that explains one person."""

    channel: ChannelName
    identity_type: str
    identity: str
    look_up: bool
    tenant: str | None


def parse(raw: bytes, bot: Bot) -> Explanation | Problems:
    """The question that `raw` asks, or its problems."""
    value = read(raw)
    if isinstance(value, tuple):
        return value
    if is_crowded(value):
        return (CROWDED,)
    body = model(ExplainBody, value)
    if isinstance(body, tuple):
        return body
    channel = ChannelName(body.channel)
    found = [*on_channel(body.channel, bot), *options.pinned(channel, body.options)]
    if body.look_up and body.identity_type == "donotresolve":
        found.append(Problem("lookUp", "looks e-mail addresses up, and with donotresolve there is none: leave it out"))
    if "\x00" in body.identity:
        found.append(Problem("identity", "holds the character NUL, which no identity has: remove it"))
    if found:
        return bounded(found)
    return Explanation(channel, body.identity_type, body.identity, body.look_up, body.options.get("tenant"))
