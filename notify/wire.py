"""Kore's v1 body → a Call, or the list of fields that are wrong.

Kore's own spelling lives here, in `wire_v2.py` and in `answers.py` alone. Structure is pydantic's business; what the
parts mean together (text or payload, this bot's channels) is a few functions below it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from pydantic import Field

from adapters.base import ChannelName
from notify import intake, options, values
from notify.body import CROWDED, MAX_IDENTITIES, Bot, Problems, Strict, bounded, count, is_crowded, model, read, shown
from notify.identities import comparable
from notify.intake import Style
from notify.message import Message as Said
from notify.records import Entry
from notify.render import Problem, Unfit

Parameters = Mapping[str, Mapping[str, str]]
"""Values for placeholders, by identity in normal form."""


@dataclass(frozen=True, slots=True)
class Call:
    """A valid body: everything of a submission that the body decides."""

    channel: ChannelName
    identity_type: str
    message: Said
    entries: Sequence[Entry]
    options: Mapping[str, Any] = field(default_factory=dict)


class Message(Strict):
    """The message: text, or with `script` JavaScript, or the native payload as an object or as its JSON text."""

    type: Literal["text", "script"]
    val: str | dict[str, Any]


class SendBody(Strict):
    """The body of a v1 send call."""

    channel: Literal["msteams", "slack"]
    identity_type: Annotated[Literal["resolve", "donotresolve"], Field(alias="userIdentityType")]
    message: Message
    identities: Annotated[list[str], Field(min_length=1, max_length=MAX_IDENTITIES)]
    options: Annotated[dict[str, Any], Field(default_factory=dict)]


def parse(raw: bytes, bot: Bot, *, max_identities: int = MAX_IDENTITIES) -> Call | Problems:
    """The call that `raw` makes of `bot`, or its problems: at least one, each naming its field and the remedy."""
    value = read(raw)
    return value if isinstance(value, tuple) else parse_value(value, bot, max_identities=max_identities)


def parse_value(value: object, bot: Bot, *, max_identities: int = MAX_IDENTITIES) -> Call | Problems:
    """The same of a body that has been read as JSON."""
    if is_crowded(value, value.get("message") if isinstance(value, dict) else None):
        return (CROWDED,)
    body = model(SendBody, value)
    if isinstance(body, tuple):
        return body
    channel = ChannelName(body.channel)
    given = body.options.get(options.PARAMETERS)
    found = [
        *on_channel(body.channel, bot),
        *identity_problems(body.identities, max_identities),
        *options.problems(channel, body.options, options.PARAMETERS),
        *_parameter_problems(given, body),
    ]
    style = Style(markup=body.options.get("format") == options.MARKUP, placeholders=bool(given))
    message = intake.read(channel, body.message.type, body.message.val, style, "message.val")
    if isinstance(message, Unfit):
        found += message.problems
    if found or isinstance(message, Unfit):
        return bounded(found)
    by_form: Parameters = {comparable(body.identity_type, name): its for name, its in (given or {}).items()}
    forms = [comparable(body.identity_type, original) for original in body.identities]
    entries = [
        Entry(original, form, values=by_form.get(form, {}))
        for original, form in zip(body.identities, forms, strict=True)
    ]
    kept = {name: each for name, each in body.options.items() if name != options.PARAMETERS}
    return Call(channel, body.identity_type, message, entries, kept)


def on_channel(channel: str, bot: Bot) -> Iterator[Problem]:
    """Whether the bot is set up for the channel."""
    if channel not in bot.channels:
        yield Problem("channel", f"{channel} is not set up for this bot: ask its operator")


def identity_problems(identities: Sequence[str], most: int, member: str = "") -> Iterator[Problem]:
    """What is wrong with identities whatever they name; `member` is where each of them stands in its item."""
    if len(identities) > most:
        yield count(most, len(identities))
    for index, identity in enumerate(identities):
        if "\x00" in identity:
            yield Problem(f"identities[{index}]{member}", "holds the character NUL, which no identity has: remove it")


def _parameter_problems(given: object, body: SendBody) -> Iterator[Problem]:
    """`options.parameters`: an identity of this call → its values."""
    at = f"options.{options.PARAMETERS}"
    if given is None and options.PARAMETERS not in body.options:
        return
    if not isinstance(given, dict):
        yield Problem(at, "must be an object: identity → its parameters")
        return
    if len(given) > MAX_IDENTITIES:
        yield Problem(at, f"at most {MAX_IDENTITIES} identities are permitted, {len(given)} given")
        return
    forms = {comparable(body.identity_type, original) for original in body.identities}
    seen: set[str] = set()
    for identity, its in given.items():
        where, form = f"{at}.{shown(identity)}", comparable(body.identity_type, identity)
        if form not in forms:
            yield Problem(where, "is not among the identities of this call: correct or remove it")
        elif form in seen:
            yield Problem(where, "names an identity that is named before: keep one of them")
        seen.add(form)
        yield from values.problems(its, where)
