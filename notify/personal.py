"""PURE: a message for one person: placeholders filled, or what a script printed, as the platform's native payload.

text | markup | template  + values ──▶ Ready(payload, notes) | Unready(reason, says, notes)
what a script printed              ──▶ the same
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Any, Final, assert_never

import orjson

from adapters.base import ChannelName
from notify import render, strict_json, templates
from notify.message import Kind, Message
from notify.notes import NO_NOTES, Notes
from notify.placeholders import Filled, Template, names_in, read_payload, read_text
from notify.render import Problem, Rendered, Unfit
from notify.script.results import Failed, Printed, Result, Why

FIELD: Final = "message"  # how a rendered message is called where a field is named
OUTPUT: Final = "the script's output"
ITSELF: Final = "The script "  # how a failure begins that is no error of JavaScript
ALMOST_AN_OBJECT: Final = f"{OUTPUT} begins like a JSON object and is none: it is sent as text"
SAYS_MOST: Final = 500
_FITS_ANYWHERE: Final = "https://x.example"  # a value that is in form as words and as an address


@dataclass(frozen=True, slots=True)
class Ready:
    """The payload for one person."""

    payload: Mapping[str, Any]
    notes: Notes = NO_NOTES


@dataclass(frozen=True, slots=True)
class Unready:
    """Nothing can be sent to this person: a reason of `notify.texts`, what kind of failure, and a sentence."""

    reason: str
    code: str
    says: str
    notes: Notes = NO_NOTES


@dataclass(frozen=True, slots=True)
class NotYet:
    """Herald cannot write the message now: tried again later."""

    reason: str
    says: str


Personal = Ready | Unready | NotYet


def is_personal(message: Message, *, placeholders: bool) -> bool:
    """Whether a message has to be rendered for each person."""
    return message.kind is Kind.SCRIPT or (placeholders and bool(names_in(message.body)))


class Writer:
    """Writes one message, which is no script, for many people; it is read once."""

    def __init__(self, channel: ChannelName, message: Message) -> None:
        self._channel = channel
        self._kind = message.kind
        self._template = _read(channel, message)
        self._fitting = dict.fromkeys(self._template.names, _FITS_ANYWHERE)

    def write(self, values: Mapping[str, str]) -> Personal:
        """The message with one person's values."""
        filled = self._template.fill(values)
        slip = self._slip(filled)
        rendered = Unfit((Problem(f"{FIELD}.payload", slip),)) if slip else self._render(filled.value)
        return _personal(rendered, Notes(tuple(map(_unfilled, filled.missing))))

    def _slip(self, filled: Filled) -> str | None:
        """What this person's values, and not the author's words, bring out of a template's form."""
        if self._kind is not Kind.TEMPLATE or not templates.is_template(filled.value):
            return None
        slip = templates.slip(filled.value)
        if slip is None or templates.slip(self._template.fill(self._fitting).value) is not None:
            return None
        return slip

    def _render(self, value: Any) -> Rendered | Unfit:  # a text or a payload, by the message's kind
        if self._kind is Kind.TEMPLATE:
            return render.native(self._channel, value, FIELD)
        write = render.markup if self._kind is Kind.MARKUP else render.text
        return write(self._channel, value, FIELD)


def _read(channel: ChannelName, message: Message) -> Template:
    match message:
        case Message(Kind.TEMPLATE, dict(payload)):
            return read_payload(channel, payload)
        case Message(Kind.TEXT | Kind.MARKUP, str(said)):
            return read_text(channel, said, markup=message.kind is Kind.MARKUP)
        case _:
            raise ValueError(f"a message of kind {message.kind} has no placeholders")


def printed(channel: ChannelName, result: Result, *, markup: bool) -> Personal:
    """What a script came to for one person: an object is the native payload, anything else is text."""
    match result:
        case Failed():
            says = f"Tell Herald's operator: {result.says}" if result.why is Why.ENGINE else _correct(result.says)
            return Unready("script_failed", result.why.value, says, Notes(log=result.log))
        case Printed(output, log):
            notes = Notes(log=log)
        case _:
            assert_never(result)
    if not output.strip():
        return Unready("script_failed", Why.SILENT.value, _correct("it printed nothing"), notes)
    try:
        payload = strict_json.object_in(output)
    except strict_json.NotJson as error:
        return Unready("message_invalid", "rendered", f"{OUTPUT}: {error}", notes)
    if payload is not None:
        return _personal(render.native(channel, payload, OUTPUT), notes)
    write = render.markup if markup else render.text
    if strict_json.is_broken_object(output):
        notes = replace(notes, warnings=(ALMOST_AN_OBJECT,))
    return _personal(write(channel, output, OUTPUT), notes)


class Signatures:
    """What messages of one call to one person have in common if, and only if, they say the same."""

    def __init__(self, channel: ChannelName) -> None:
        self._channel = channel
        self._writers: dict[int, Writer] = {}  # by the message's place in memory, where the call keeps it
        self._known: dict[tuple[int, tuple[tuple[str, str], ...]], bytes] = {}

    def of(self, message: Message, values: Mapping[str, str]) -> bytes:
        """A script is compared by its source and the values: nobody runs it to find out."""
        key = (id(message), tuple(sorted(values.items())))
        if key not in self._known:
            self._known[key] = sha256(self._written(message, values)).digest()
        return self._known[key]

    def _written(self, message: Message, values: Mapping[str, str]) -> bytes:
        if message.kind is Kind.NATIVE:
            return _canonical(message.body)
        written = None if message.kind is Kind.SCRIPT else self._writer(message).write(values)
        return _canonical(written.payload if isinstance(written, Ready) else [message.kind, message.body, dict(values)])

    def _writer(self, message: Message) -> Writer:
        writer = self._writers.get(id(message))
        if writer is None:
            writer = self._writers[id(message)] = Writer(self._channel, message)
        return writer


def _personal(rendered: Rendered | Unfit, notes: Notes) -> Personal:
    match rendered:
        case Rendered(payload, said):
            return Ready(payload, replace(notes, warnings=(*notes.warnings, *said)))
        case Unfit(problems):
            return Unready(_reason(problems), "rendered", _bounded("; ".join(map(str, problems))), notes)
        case _:
            assert_never(rendered)


def _reason(problems: tuple[Problem, ...]) -> str:
    return "message_too_large" if all(problem.too_large for problem in problems) else "message_invalid"


def _canonical(value: object) -> bytes:
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)


def _unfilled(name: str) -> str:
    return f"{{{name}}} has no value and stays as it is written"


def _correct(says: str) -> str:
    return _bounded(f"Correct the script: {'it ' + says[len(ITSELF) :] if says.startswith(ITSELF) else says}")


def _bounded(sentence: str) -> str:
    return sentence if len(sentence) <= SAYS_MOST else f"{sentence[: SAYS_MOST - 1]}…"
