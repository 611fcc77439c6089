"""Kore's v1 body: hostile bytes → a Call, or the list of fields that are wrong.

Kore's own spelling lives here and in `answers.py` alone. Structure is pydantic's business; what the parts mean
together (text or payload, this bot's channels) is a few functions below it. No problem ever quotes a value.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import ErrorDetails

from adapters.base import BotId, ChannelName
from notify import render, strict_json
from notify.identities import comparable
from notify.records import Entry
from notify.render import Problem, Unfit

MAX_IDENTITIES: Final = 1000
MAX_FIELDS: Final = 100
MAX_PROBLEMS: Final = 20  # a caller mends the first ones first; the rest is counted

OPTION_VALUES: Final[Mapping[str, tuple[str, ...]]] = {"onUncertain": ("hold", "resend")}
"""The members of `options` that this version knows, with the values they may have."""

LATER_OPTIONS: Final[Mapping[str, str]] = {
    "format": "not supported by this version",
    "parameters": "not supported by this version",
}


_TENANT: Final[Mapping[ChannelName, tuple[re.Pattern[str], str]]] = {
    ChannelName.MSTEAMS: (
        re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"),
        "must be the id of a Teams tenant, a GUID",
    ),
    ChannelName.SLACK: (re.compile(r"T[A-Z0-9]{1,63}"), "must be the id of a Slack workspace (T…)"),
}
_SLACK_ORG: Final = re.compile(r"E[A-Z0-9]{1,63}")


@dataclass(frozen=True, slots=True)
class Bot:
    """A bot as a caller sees it: its id and the channels it is set up for."""

    id: BotId
    channels: frozenset[ChannelName]


@dataclass(frozen=True, slots=True)
class Call:
    """A valid v1 body: everything of a submission that the body decides."""

    channel: ChannelName
    identity_type: str
    payload: Mapping[str, Any]
    entries: Sequence[Entry]
    options: Mapping[str, Any] = field(default_factory=dict)


class _Strict(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", hide_input_in_errors=True)


class Message(_Strict):
    """The message: text, or with `script` the platform's native payload as an object or as its JSON text."""

    type: Literal["text", "script"]
    val: str | dict[str, Any]


class SendBody(_Strict):
    """The body of a v1 send call."""

    channel: Literal["msteams", "slack"]
    identity_type: Annotated[Literal["resolve", "donotresolve"], Field(alias="userIdentityType")]
    message: Message
    identities: Annotated[list[str], Field(min_length=1, max_length=MAX_IDENTITIES)]
    options: dict[str, Any] = {}


class ExplainBody(_Strict):
    """The body of a call that explains one person."""

    channel: Literal["msteams", "slack"]
    identity: str
    identity_type: Annotated[Literal["resolve", "donotresolve"], Field(alias="userIdentityType")] = "resolve"
    look_up: Annotated[bool, Field(alias="lookUp")] = False
    options: dict[str, Any] = {}


@dataclass(frozen=True, slots=True)
class Explanation:
    """A valid call that explains one person."""

    channel: ChannelName
    identity_type: str
    identity: str
    look_up: bool
    tenant: str | None


def parse_explain(raw: bytes, bot: Bot) -> Explanation | tuple[Problem, ...]:
    """The question that `raw` asks, or its problems."""
    try:
        value = strict_json.read(raw)
    except strict_json.NotJson as error:
        return (Problem("", f"the body {error}"),)
    if _crowded(value):
        return (Problem("", "the body has far more fields than this call: remove them"),)
    try:
        body = ExplainBody.model_validate(value)
    except ValidationError as error:
        return _bounded(_structure(error.errors(include_url=False, include_input=True)))
    channel = ChannelName(body.channel)
    found = [*_channel(body.channel, bot), *_pinned(channel, body.options)]
    if body.look_up and body.identity_type == "donotresolve":
        found.append(Problem("lookUp", "looks e-mail addresses up, and with donotresolve there is none: leave it out"))
    if "\x00" in body.identity:
        found.append(Problem("identity", "holds the character NUL, which no identity has: remove it"))
    if found:
        return _bounded(found)
    return Explanation(channel, body.identity_type, body.identity, body.look_up, body.options.get("tenant"))


def _pinned(channel: ChannelName, options: Mapping[str, Any]) -> Iterator[Problem]:
    """Only the tenant changes how a person is found."""
    for name in islice(options, MAX_FIELDS):
        if name == "tenant":
            yield from _tenant(channel, options[name])
        else:
            yield Problem(f"options.{_shown(name)}", "is not an option of this call: remove it")


def parse(raw: bytes, bot: Bot, *, max_identities: int = MAX_IDENTITIES) -> Call | tuple[Problem, ...]:
    """The call that `raw` makes of `bot`, or its problems: at least one, each naming its field and the remedy."""
    try:
        value = strict_json.read(raw)
    except strict_json.NotJson as error:
        return (Problem("", f"the body {error}"),)
    if _crowded(value) or (isinstance(value, dict) and _crowded(value.get("message"))):
        return (Problem("", "the body has far more fields than this call: remove them"),)
    try:
        body = SendBody.model_validate(value)
    except ValidationError as error:
        return _bounded(_structure(error.errors(include_url=False, include_input=True)))
    channel = ChannelName(body.channel)
    found = [
        *_channel(body.channel, bot),
        *_identities(body.identities, max_identities),
        *_options(channel, body.options),
    ]
    rendered = _message(channel, body.message)
    if isinstance(rendered, Unfit):
        found += rendered.problems
    if found or isinstance(rendered, Unfit):
        return _bounded(found)
    entries = [Entry(original, comparable(body.identity_type, original)) for original in body.identities]
    return Call(channel, body.identity_type, rendered.payload, entries, body.options)


def unknown_names(query: Iterable[str], known: Sequence[str] = ()) -> tuple[Problem, ...]:
    """The names of a query that the call does not know. A slip in `dryRun` would otherwise send for real."""
    says = f"is not known here, only {' and '.join(known)}: remove it" if known else "is not known here: remove it"
    return _bounded(Problem(f"?{_shown(name)}", says) for name in dict.fromkeys(query) if name not in known)


# ── meaning ─────────────────────────────────────────────────────────────────────────────────────────────────
def _channel(channel: str, bot: Bot) -> Iterator[Problem]:
    if channel not in bot.channels:
        yield Problem("channel", f"{channel} is not set up for this bot: ask its operator")


def _identities(identities: Sequence[str], most: int) -> Iterator[Problem]:
    if len(identities) > most:
        yield _count(most, len(identities))
    for index, identity in enumerate(identities):
        if "\x00" in identity:
            yield Problem(f"identities[{index}]", "holds the character NUL, which no identity has: remove it")


def _options(channel: ChannelName, options: Mapping[str, Any]) -> Iterator[Problem]:
    for name in islice(options, MAX_FIELDS):
        if name == "tenant":
            yield from _tenant(channel, options[name])
            continue
        allowed = OPTION_VALUES.get(name)
        if allowed is None:
            yield Problem(f"options.{_shown(name)}", LATER_OPTIONS.get(name, "is not an option: remove it"))
        elif options[name] not in allowed:
            yield Problem(f"options.{name}", f"must be {' or '.join(allowed)}")


def _tenant(channel: ChannelName, value: object) -> Iterator[Problem]:
    shape, sentence = _TENANT[channel]
    if isinstance(value, str) and shape.fullmatch(value):
        return
    if channel is ChannelName.SLACK and isinstance(value, str) and _SLACK_ORG.fullmatch(value):
        sentence = "is a Slack organisation: name one of its workspaces (T…)"
    yield Problem("options.tenant", sentence)


def _message(channel: ChannelName, message: Message) -> render.Rendered | Unfit:
    at = "message.val"
    if message.type == "text":
        if isinstance(message.val, str):
            return render.text(channel, message.val, at)
        return Unfit((Problem(at, 'must be text when message.type is "text": for an object use "script"'),))
    if isinstance(message.val, dict):
        return render.native(channel, message.val, at)
    return _script(channel, message.val, at)


def _script(channel: ChannelName, source: str, at: str) -> render.Rendered | Unfit:
    """JSON text of an object is the native payload; anything else would be JavaScript."""
    unsupported = "scripts are not supported by this version: send text, or the native payload as a JSON object"
    try:
        value = strict_json.read(source)
    except strict_json.NotJson as error:
        looks_like_json = source.lstrip().startswith("{")
        return Unfit((Problem(at, f"{error}, and {unsupported}" if looks_like_json else unsupported),))
    if not isinstance(value, dict):
        return Unfit((Problem(at, f"is JSON but not an object, and {unsupported}"),))
    return render.native(channel, value, at)


def _crowded(value: object) -> bool:
    """Naming half a million unknown fields one by one would take seconds."""
    return isinstance(value, dict) and len(value) > MAX_FIELDS


# ── structure ───────────────────────────────────────────────────────────────────────────────────────────────
_SENTENCES: Final = {
    "missing": "is required: add it",
    "extra_forbidden": "is not a field of this call: remove it",
    "string_type": "must be text",
    "dict_type": "must be an object",
    "list_type": "must be a list",
    "model_type": "must be an object",
    "model_attributes_type": "must be an object",
    "bool_type": "must be true or false",
}


def _structure(errors: Iterable[ErrorDetails]) -> Iterator[Problem]:
    seen: set[str] = set()
    for item in errors:
        where = _place(item["loc"])
        if where not in seen:
            seen.add(where)
            yield Problem(where or "the body", _sentence(item, where))


def _place(loc: Sequence[int | str]) -> str:
    """`identities[3]`, `message.val`; the names of union members are pydantic's, not the caller's."""
    if loc[-1:] and loc[:2] == ("message", "val"):
        loc = loc[:2]
    place = ""
    for part in loc:
        place += f"[{part}]" if isinstance(part, int) else f".{_shown(part)}" if place else _shown(part)
    return place


def _sentence(item: ErrorDetails, where: str) -> str:
    kind, given = item["type"], item.get("input")
    if kind in ("too_short", "too_long"):
        return _count(MAX_IDENTITIES, len(given) if isinstance(given, list) else 0).says
    if kind == "literal_error":
        return f"must be {str(item['ctx']['expected']).replace(chr(39), chr(34))}"
    if where == "message.val" and kind != "missing":
        return "must be text, or an object when message.type is script"
    return _SENTENCES.get(kind, "is not valid: correct it")


def _count(most: int, given: int) -> Problem:
    return Problem("identities", f"between 1 and {most} items are required, {given} given")


def _shown(name: str) -> str:
    """A caller's own key, short and printable."""
    return "".join(character if character.isprintable() else "\ufffd" for character in name[:80])


def _bounded(problems: Iterable[Problem]) -> tuple[Problem, ...]:
    found = tuple(problems)
    if len(found) <= MAX_PROBLEMS:
        return found
    return (*found[:MAX_PROBLEMS], Problem("", f"{len(found) - MAX_PROBLEMS} more fields are wrong"))
