"""What a message's form costs: the CPU of one delivery as a multiple of a plain text's, accept to stored outcome."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import orjson

from bench.measure import Row, Sample, Sampler, cpu_ms, in_turn, rate, times, watched
from bench.processes import Json
from bench.rig import PLAIN, TEXT, UNPACED, V1, V2, Herald
from bench.warm import World, slack, teams

PEOPLE = 1000
SIZE = 6500  # bytes of a card
MOST = 1.3
PLACES = 2  # 1000 people of each; Slack counts by conversation, so nobody is written to twice at once
IN_FLIGHT = 32  # of each
GREETING = "Hello {name}, "
EXAMPLE_2 = (  # docs.kore.ai, proactive notifications
    "var envMsg = 'John'; var channel = context.session.BotUserSession.lastMessage.channel; "
    "print(JSON.stringify({text: 'Hi ' + envMsg + ' message is from ' + channel + ' channel'}));"
)


@dataclass(frozen=True, slots=True)
class Form:
    """A message, and whether each person's name comes with it; `most` is the target."""

    message: Json
    named: bool = False
    most: float | None = None

    def identities(self, people: Sequence[str]) -> list[str | Json]:
        """Whom it is for, as the call wants it."""
        if not self.named:
            return list(people)
        return [{"email": each, "parameters": {"name": f"Person {place}"}} for place, each in enumerate(people)]


def _forms(name: str, plain: Json, personal: Json) -> dict[str, Form]:
    """Everything that is measured, each under its name in the table; `name` is the platform's word for a card."""
    return {
        "plain text": Form(PLAIN),
        f"6.5 KB {name}": Form({"type": "script", "val": plain}, most=MOST),
        "text with {name}": Form({"type": "text", "value": GREETING + TEXT}, named=True),
        f"6.5 KB {name} with {{name}}": Form({"type": "template", "value": personal}, named=True),
        "script (Kore's Example 2)": Form({"type": "script", "val": EXAMPLE_2}),
    }


async def measure_messages(quick: bool) -> list[Row]:
    """Every form to 1000 warm people of two bots on each platform, without a pace."""
    pace = {**UNPACED, "teams_in_flight": IN_FLIGHT, "slack_in_flight": IN_FLIGHT}
    rounds = 2 if quick else 5
    async with teams(PEOPLE, PLACES) as world, world.server(pace) as server:
        forms = _forms("Adaptive Card", _adaptive_card(""), _adaptive_card(GREETING))
        rows = await _measured(rounds, world, server, "Teams", "msteams", forms)
    async with slack(PEOPLE, PLACES) as world, world.server(pace) as server:
        forms = _forms("Block Kit message", _blocks(""), _blocks(GREETING))
        return rows + await _measured(rounds, world, server, "Slack", "slack", forms)


async def _measured(
    rounds: int, world: World, server: Herald, platform: str, channel: str, forms: dict[str, Form]
) -> list[Row]:
    samplers = {name: _delivering(world, server, channel, form) for name, form in forms.items()}
    await next(iter(samplers.values()))()  # the first requests after a start cost more than all others
    taken = await in_turn(rounds, samplers)
    (reference, plain), *others = taken.items()
    beside = f"{reference}: {cpu_ms(plain):.2f} ms, {rate(plain):.0f}/s"
    return [_row(f"CPU per {platform} delivery, {name}", taken, plain, beside, forms[name]) for name, taken in others]


def _row(what: str, taken: Sequence[Sample], plain: Sequence[Sample], beside: str, form: Form) -> Row:
    ratio = times(taken, plain)
    measured = f"{cpu_ms(taken):.2f} ms, {rate(taken):.0f}/s"
    if form.most is None:
        return Row(what, measured, beside, f"{ratio:.2f}", "", reached=True)
    return Row(what, measured, beside, f"{ratio:.2f}", f"at most {form.most:g} times", ratio <= form.most)


def _delivering(world: World, server: Herald, channel: str, form: Form) -> Sampler:
    """One request to everyone of each bot, all at once."""

    async def work() -> float:
        call = V2 if form.named else V1
        calls = [
            server.accept(channel, form.identities(people), bot=bot, message=form.message, call=call)
            for bot, people in enumerate(world.people, 1)
        ]
        await asyncio.gather(*calls)
        return await server.until_stored()

    async def sample() -> Sample:
        taken = await watched(server.child, sum(map(len, world.people)), work)
        assert not server.refused()
        return taken

    return sample


# ---------------------------------------------------------------------- cards of the same size


def _adaptive_card(greeting: str) -> Json:
    """An order of as many lines as make the size, in the elements that such cards are made of."""
    head = {"type": "TextBlock", "text": f"{greeting}your order is on its way", "size": "Large", "weight": "Bolder"}
    body = [head]
    card = {
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": "1.5",
        "body": body,
        "actions": [{"type": "Action.OpenUrl", "title": "Follow it", "url": "https://orders.example.com/4711"}],
    }
    payload = {
        "type": "message",
        "attachments": [{"contentType": "application/vnd.microsoft.card.adaptive", "content": card}],
    }
    return _filled(payload, body, _columns)


def _columns(number: int) -> Json:
    words = [
        {"type": "TextBlock", "text": f"Article {number}", "weight": "Bolder", "wrap": True},
        {"type": "TextBlock", "text": "In the warehouse, packed today", "isSubtle": True, "spacing": "None"},
    ]
    price = {"type": "TextBlock", "text": f"{number},00 EUR", "horizontalAlignment": "Right"}
    columns = [
        {"type": "Column", "width": "stretch", "items": words},
        {"type": "Column", "width": "auto", "items": [price]},
    ]
    return {"type": "ColumnSet", "separator": True, "columns": columns}


def _blocks(greeting: str) -> Json:
    """The same in Block Kit."""
    said = f"{greeting}your order is on its way"
    blocks: list[Json] = [{"type": "section", "text": {"type": "mrkdwn", "text": f"*{said}*"}}]
    return _filled({"text": said, "blocks": blocks}, blocks, _section)


def _section(number: int) -> Json:
    fields = [
        {"type": "mrkdwn", "text": f"*Article {number}*\nIn the warehouse, packed today"},
        {"type": "mrkdwn", "text": f"{number},00 EUR"},
    ]
    button = {"type": "button", "text": {"type": "plain_text", "text": "Show"}, "action_id": f"show_{number}"}
    return {"type": "section", "block_id": f"line_{number}", "fields": fields, "accessory": button}


def _filled(payload: Json, lines: list[Json], line: Callable[[int], Json]) -> Json:
    """The payload, with lines until it has its size."""
    while len(orjson.dumps(payload)) < SIZE:
        lines.append(line(len(lines)))
    return payload
