"""Kore's v2 body → a Call, or the list of fields that are wrong.

Kore's table and Kore's samples contradict each other in two names: `message` and `content`, `value` and `val`. Either
of each pair is taken, both of a pair are refused.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import Field

from adapters.base import ChannelName
from notify import intake, options, values
from notify.body import CROWDED, MAX_IDENTITIES, Bot, Problems, Strict, bounded, is_crowded, model, read
from notify.identities import comparable
from notify.intake import Style
from notify.message import Message as Said
from notify.records import Entry
from notify.render import Problem, Unfit
from notify.wire import Call, identity_problems, on_channel

Value = str | dict[str, Any]


class Message(Strict):
    """The message; a template is the native payload, or text."""

    type: Literal["text", "template", "script"]
    value: Value | None = None
    val: Value | None = None


class Identity(Strict):
    """One person, with words and values of their own if they have any."""

    email: str
    custom_message: Annotated[str | None, Field(alias="customMessage")] = None
    parameters: dict[str, Any] | None = None


class SendBody(Strict):
    """The body of a v2 send call."""

    channel: Literal["msteams", "slack"]
    message: Message | None = None
    content: Message | None = None
    identity_type: Annotated[Literal["resolve"], Field(alias="userIdentityType")] = "resolve"
    webhook: Annotated[str | None, Field(alias="webhookInstanceName")] = None  # of Kore's IVR channel alone
    identities: Annotated[list[Identity], Field(min_length=1, max_length=MAX_IDENTITIES)]
    options: Annotated[dict[str, Any], Field(default_factory=dict)]


@dataclass(frozen=True, slots=True)
class _Given:
    """The message under the names that the caller chose."""

    type: str
    value: Value
    at: str


def parse(raw: bytes, bot: Bot, *, max_identities: int = MAX_IDENTITIES) -> Call | Problems:
    """The call that `raw` makes of `bot`, or its problems: at least one, each naming its field and the remedy."""
    value = read(raw)
    return value if isinstance(value, tuple) else parse_value(value, bot, max_identities=max_identities)


def parse_value(value: object, bot: Bot, *, max_identities: int = MAX_IDENTITIES) -> Call | Problems:
    """The same of a body that has been read as JSON."""
    if _is_crowded(value):
        return (CROWDED,)
    body = model(SendBody, value)
    if isinstance(body, tuple):
        return body
    channel = ChannelName(body.channel)
    given = _given(body)
    found = [
        *on_channel(body.channel, bot),
        *identity_problems([each.email for each in body.identities], max_identities, ".email"),
        *options.problems(channel, body.options),
        *_parameter_problems(body.identities),
        *(given if isinstance(given, tuple) else ()),
    ]
    style = Style(markup=body.options.get("format") == options.MARKUP, placeholders=True)
    own = [_own(channel, each, style, index) for index, each in enumerate(body.identities)]
    message = None if isinstance(given, tuple) else intake.read(channel, given.type, given.value, style, given.at)
    for said in (message, *own):
        if isinstance(said, Unfit):
            found += said.problems
    if found or not isinstance(message, Said):
        return bounded(found)
    entries = [
        Entry(
            each.email,
            comparable(body.identity_type, each.email),
            said if isinstance(said, Said) else None,
            each.parameters or {},
        )
        for each, said in zip(body.identities, own, strict=True)
    ]
    return Call(channel, body.identity_type, message, entries, body.options)


def _is_crowded(value: object) -> bool:
    if not isinstance(value, dict):
        return False
    identities = value.get("identities")
    each = identities[:MAX_IDENTITIES] if isinstance(identities, list) else []
    parameters = [item.get("parameters") for item in each if isinstance(item, dict)]
    return is_crowded(value, value.get("message"), value.get("content"), *each, *parameters)


def _given(body: SendBody) -> _Given | Problems:
    if body.message is not None and body.content is not None:
        return (Problem("content", "stands beside message, and both name the message: keep one of them"),)
    name, message = ("content", body.content) if body.message is None else ("message", body.message)
    if message is None:
        return (Problem("message", "is required: add it"),)
    if message.value is not None and message.val is not None:
        return (Problem(f"{name}.val", "stands beside value, and both name the same: keep one of them"),)
    at, value = (f"{name}.val", message.val) if message.value is None else (f"{name}.value", message.value)
    if value is None:
        return (Problem(f"{name}.value", "is required: add it"),)
    return _Given(message.type, value, at)


def _own(channel: ChannelName, identity: Identity, style: Style, index: int) -> Said | Unfit | None:
    if identity.custom_message is None:
        return None
    return intake.words(channel, identity.custom_message, style, f"identities[{index}].customMessage")


def _parameter_problems(identities: Sequence[Identity]) -> Iterator[Problem]:
    for index, identity in enumerate(identities):
        if identity.parameters is not None:
            yield from values.problems(identity.parameters, f"identities[{index}].parameters")
