"""Renders one message for many people: placeholders here, scripts in the sandbox.

wish (message, values, person) ──▶ Ready(payload) | Unready(reason)
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from adapters.base import BotId, ChannelName
from notify import personal
from notify.ids import derived_id
from notify.message import Kind, Message
from notify.personal import NotYet, Personal, Writer
from notify.script.context import Recipient, context
from notify.script.pool import ScriptPool
from notify.script.results import Printed, Result
from notify.script.run import ScriptRun, ScriptsUnavailableError
from notify.texts import REASONS

log = logging.getLogger("herald.script")

SLICE: Final = 64  # recipients whose output is in memory at once
LARGE_OUTPUT: Final = 16 * 1024  # reading more JSON than this takes long enough to be noticed by others
BREATH_SECONDS: Final = 0.005  # of work, before others have their turn on the event loop


@dataclass(frozen=True, slots=True)
class Person:
    """Whom a message is rendered for, as far as they are known. `user_id` is the platform's."""

    identity: str
    tenant: str = ""
    user_id: str = ""
    name: str = ""
    locale: str = ""


@dataclass(frozen=True, slots=True)
class Wish:
    """One message for one person, with that person's values."""

    message: Message
    person: Person
    values: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Occasion:
    """What all messages of one request share; `script` is the run of its script, where the message is one."""

    bot: BotId
    channel: ChannelName
    identity_type: str
    markup: bool = False
    script: ScriptRun | None = None


class Renderer:
    """Messages for people. `key` makes the ids by which scripts may know them; `names` are the bots' names."""

    def __init__(self, scripts: ScriptPool, *, key: bytes, names: Mapping[BotId, str]) -> None:
        self._scripts = scripts
        self._key = key
        self._names = names

    def begin(self, message: Message, *, seconds: float | None = None) -> ScriptRun | None:
        """The run of a request's script, with less time in all where somebody waits for it; None for other messages."""
        if message.kind is not Kind.SCRIPT or not isinstance(message.body, str):
            return None
        return self._scripts.begin(message.body, total_seconds=seconds)

    async def render(self, occasion: Occasion, wishes: Sequence[Wish]) -> list[Personal]:
        """One answer for each wish, in their order; others have their turn on the event loop meanwhile."""
        breath, writers = _Breath(), dict[int, Writer]()
        answers: dict[int, Personal] = {}
        scripted = [place for place, wish in enumerate(wishes) if wish.message.kind is Kind.SCRIPT]
        if scripted:
            answers = dict(zip(scripted, await self._run(occasion, [wishes[at] for at in scripted]), strict=True))
        for place, wish in enumerate(wishes):
            if place in answers:
                continue
            writer = writers.get(id(wish.message))
            if writer is None:
                writer = writers[id(wish.message)] = Writer(occasion.channel, wish.message)
            answers[place] = writer.write(wish.values)
            await breath.take()
        return [answers[place] for place in range(len(wishes))]

    async def _run(self, occasion: Occasion, wishes: Sequence[Wish]) -> list[Personal]:
        """A slice at a time: what scripts print can be large, and is dropped when it has become a message."""
        if occasion.script is None:
            raise ValueError("a script needs its run")
        breath, answers = _Breath(), list[Personal]()
        for start in range(0, len(wishes), SLICE):
            part = wishes[start : start + SLICE]
            try:
                results = await occasion.script.render([self._context(occasion, wish) for wish in part])
            except ScriptsUnavailableError as error:
                log.error("scripts cannot be run", extra={"action": "script.unavailable", "error": str(error)})
                answers += [NotYet("scripts_unavailable", REASONS["scripts_unavailable"].remedy)] * len(part)
                continue
            for result in results:
                answers.append(await _printed(occasion, result))
                await breath.take()
        return answers

    def _context(self, occasion: Occasion, wish: Wish) -> dict[str, Any]:
        name = self._names.get(occasion.bot, "")
        return context(name, occasion.bot, occasion.channel.value, self._recipient(occasion, wish))

    def _recipient(self, occasion: Occasion, wish: Wish) -> Recipient:
        """The person as a script sees them; the ids are those of the status call."""
        person = wish.person
        known = person.user_id or person.identity
        return Recipient(
            identity=person.identity,
            identity_type=occasion.identity_type,
            name=person.name,
            locale=person.locale,
            user_id=derived_id("u", self._key, "person", occasion.bot, occasion.channel, person.tenant, known),
            org_id=derived_id("o", self._key, "organisation", occasion.channel, person.tenant),
            parameters=wish.values,
        )


class _Breath:
    """Lets others have their turn on the event loop when enough has been done in one."""

    def __init__(self) -> None:
        self._since = time.monotonic()

    async def take(self) -> None:
        if time.monotonic() - self._since > BREATH_SECONDS:
            await asyncio.sleep(0)
            self._since = time.monotonic()


async def _printed(occasion: Occasion, result: Result) -> Personal:
    if isinstance(result, Printed) and len(result.output) > LARGE_OUTPUT:
        return await asyncio.to_thread(personal.printed, occasion.channel, result, markup=occasion.markup)
    return personal.printed(occasion.channel, result, markup=occasion.markup)
