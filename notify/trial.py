"""What a message would be for each person of a call, before anything is accepted: for rehearsals and previews."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from adapters.base import BotId, TenantId
from notify.message import Kind, Message
from notify.notes import Notes
from notify.options import MARKUP
from notify.personal import Personal, Ready
from notify.records import Entry
from notify.renderer import SLICE, Occasion, Person, Renderer, Wish
from notify.wire import Call
from storage import directory
from storage.engine import Database

TRIAL_SECONDS: Final = 10.0  # of all processes together: a caller waits for the answer


@dataclass(frozen=True, slots=True)
class _Known:
    """The people of a call as far as the directory knows them, by identity in normal form."""

    people: Mapping[str, Person]

    def of(self, entry: Entry) -> Person:
        return self.people.get(entry.identity) or Person(entry.identity)


class Trial:
    """Renders calls for nobody to receive."""

    def __init__(self, database: Database, renderer: Renderer) -> None:
        self._database = database
        self._renderer = renderer

    async def render(self, bot: BotId, call: Call, *, whole: bool = True) -> list[Personal]:
        """One answer for each identity, in their order; not `whole`: only the first payload is kept as it is."""
        messages = [entry.message or call.message for entry in call.entries]
        same = {id(message): _as_it_is(message) for message in messages}
        script = next((message for message in messages if message.kind is Kind.SCRIPT), None)
        known = _Known({}) if script is None else await self._known(bot, call)
        wanted = [place for place, message in enumerate(messages) if same[id(message)] is None]
        wishes = [Wish(messages[at], known.of(call.entries[at]), call.entries[at].values) for at in wanted]
        occasion = Occasion(
            bot,
            call.channel,
            call.identity_type,
            markup=call.options.get("format") == MARKUP,
            script=None if script is None else self._renderer.begin(script, seconds=TRIAL_SECONDS),
        )
        rendered: dict[int, Personal] = {}
        has_sample = False
        for start in range(0, len(wishes), SLICE):
            part = wanted[start : start + SLICE]
            answers = await self._renderer.render(occasion, wishes[start : start + SLICE])
            for place, answer in zip(part, answers, strict=True):
                is_sample = not has_sample and isinstance(answer, Ready)
                has_sample = has_sample or is_sample
                rendered[place] = answer if whole or is_sample else _thin(answer)
        return [same[id(message)] or rendered[place] for place, message in enumerate(messages)]

    async def _known(self, bot: BotId, call: Call) -> _Known:
        identities = list(dict.fromkeys(entry.identity for entry in call.entries))
        tenant: TenantId | None = call.options.get("tenant")
        where: dict[str, Any] = {"bot_id": bot, "channel": str(call.channel), "tenant_id": tenant}
        async with self._database.read() as tx:
            if call.identity_type == "resolve":
                found: Sequence[directory.Owner] = await directory.owners_named(tx, **where, emails=identities)
                return _Known(
                    {
                        each.email: Person(each.email, each.tenant_id, each.user_id, each.name, each.locale)
                        for each in found
                    }
                )
            if tenant is None:
                return _Known({})
            named = await directory.named(tx, **where, user_ids=identities)
        return _Known({each: Person(each, tenant, each, its.name, its.locale) for each, its in named.items()})


def _as_it_is(message: Message) -> Personal | None:
    """What is the same for everybody."""
    if message.kind is not Kind.NATIVE or not isinstance(message.body, dict):
        return None
    return Ready(message.body, Notes(message.warnings))


def _thin(answer: Personal) -> Personal:
    """Without its payload: that of a thousand people can be a thousand times what scripts may print."""
    return replace(answer, payload={}) if isinstance(answer, Ready) else answer
