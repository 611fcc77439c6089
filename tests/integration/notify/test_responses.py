"""What people press is kept on the delivery whose message it was, once and bounded, on both databases."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import pytest
from sqlalchemy import event, func, select, update

from adapters.base import BotId, ChannelName, TenantId
from adapters.evidence import Evidence, Press, Said
from notify.evidence import EvidenceBook
from notify.housekeeping import tidy
from notify.message import Kind, Message
from notify.records import Entry, RequestRecord, Response, Submission
from notify.requests import Requests
from notify.responses import LOOKED_AT
from storage import responses, tables
from storage.engine import Database

BOT, ELSE = BotId("st-00000000-0000-5000-8000-000000000001"), BotId("st-00000000-0000-5000-8000-000000000002")
TENANT = TenantId("T1")
NOW = 1_795_000_000.0
SENT = str(int(NOW * 1000))
DAY = 86_400.0
FOREIGN: tuple[dict[str, Any], ...] = (
    {"user_id": "bob", "channel_id": "29:bob", "conversation_id": "a:1bob"},
    {"tenant": TenantId("T2")},
    {"bot": ELSE},
    {"channel": ChannelName.SLACK},
)
BUTTONS = [{"title": "Yes, please", "payload": "yes"}, {"title": "No", "payload": "No"}]


def template(*buttons: dict[str, str]) -> dict[str, Any]:
    """A Teams message with buttons that speak for the person."""
    actions = [
        {
            "type": "Action.Submit",
            "title": button["title"],
            "data": {"msteams": {"type": "imBack", "value": button["payload"]}},
        }
        for button in buttons
    ]
    card = {"type": "AdaptiveCard", "version": "1.5", "body": [], "actions": actions}
    content_type = "application/vnd.microsoft.card.adaptive"
    return {"type": "message", "attachments": [{"contentType": content_type, "content": card}]}


@dataclass
class Core:
    """Requests and the book of evidence on one database."""

    database: Database
    requests: Requests
    book: EvidenceBook

    async def sent(
        self,
        message_id: str | None = SENT,
        *,
        people: Sequence[str] = ("ada@x.example",),
        payload: dict[str, Any] | None = None,
        **values: Any,
    ) -> str:
        """A request whose deliveries the platform has, all to one person; returns its id."""
        entries = [Entry(each, each.lower()) for each in people]
        message = Message(Kind.NATIVE, payload or template(*BUTTONS))
        submission = Submission(BOT, ChannelName.MSTEAMS, "cs-1", "u-1", "v1", "resolve", message, entries)
        made: list[RequestRecord] = []

        def write(record: RequestRecord) -> bytes:
            made.append(record)
            return b"{}"

        await self.requests.accept(submission, now=NOW - 1, write=write)
        row = {
            "state": "sent",
            "tenant_id": TENANT,
            "user_id": "ada",
            "channel_id": "29:ada",
            "conversation_id": "a:1ada",
            "message_id": message_id,
            "wire_started_at": NOW - 0.5,
            "final_at": NOW,
            "next_at": None,
        }
        done = {"done": len(entries), "succeeded": len(entries), "status": "SUCCESS", "closed_at": NOW}
        deliveries, requests = tables.deliveries, tables.requests
        async with self.database.write() as tx:
            await tx.execute(update(deliveries).where(deliveries.c.request_id == made[0].id).values(**row | values))
            await tx.execute(update(requests).where(requests.c.id == made[0].id).values(**done))
        return made[0].id

    async def take(self, **changes: Any) -> None:
        """What the person did, as an adapter tells it."""
        plain = Evidence(BOT, ChannelName.MSTEAMS, TENANT, "ada", "a:1ada", SENT, "button", NOW + 60, "29:ada")
        async with self.database.write() as tx:
            await self.book(tx, replace(plain, **changes))

    async def press(self, *presses: Press, **changes: Any) -> None:
        """They pressed."""
        await self.take(presses=presses or (Press("k1", {"x": 1}, "OK"),), **changes)

    async def say(self, text: str, key: str = "k1", message_id: str | None = None, **changes: Any) -> None:
        """They, or a button, said this."""
        await self.take(said=Said(key, text), message_id=message_id, kind="reply", **changes)

    async def shown(self, request_id: str) -> list[Sequence[Response]]:
        """The responses of each entry, as the status call has them."""
        record = await self.requests.status(BOT, request_id)
        assert record is not None
        return [entry.responses for entry in sorted(record.entries, key=lambda each: each.position)]

    async def values(self, request_id: str) -> list[Any]:
        """The values of the responses to the first entry."""
        return [response.detail.get("value") for response in (await self.shown(request_id))[0]]

    async def count(self) -> int:
        """How many responses are stored at all."""
        async with self.database.read() as tx:
            return int((await tx.execute(select(func.count()).select_from(tables.responses))).scalar_one())


@pytest.fixture(name="core")
def _core(database: Database) -> Core:
    requests = Requests(database, wake=lambda _lane: None, deadline_hours=24)
    return Core(database, requests, EvidenceBook(clock=lambda: NOW + 61))


class TestPress:
    async def test_shown(self, core: Core) -> None:
        """A press is in the record of its delivery: when, of which kind, and what it said."""
        request, other = await core.sent(), await core.sent("17")

        await core.press(Press("k1", {"x": 1}, "OK", "a", "b", "v"))

        detail = {"value": {"x": 1}, "label": "OK", "actionId": "a", "blockId": "b", "verb": "v"}
        assert [[Response(NOW + 60, "button", detail)]] == await core.shown(request)
        assert [()] == await core.shown(other)

    async def test_copies(self, core: Core) -> None:
        """It is stored with the first of equal identities and shown with each of them."""
        request = await core.sent(people=("ada@x.example", "Ada@x.example", "ADA@x.example"))

        await core.press()

        first, second, third = await core.shown(request)
        assert len(first) == 1
        assert first == second == third
        assert await core.count() == 1

    async def test_once(self, core: Core) -> None:
        """A repeated event is recorded once; another press of the same button is another one."""
        request = await core.sent()

        for key in ("k1", "k1", "k2", "k1"):
            await core.press(Press(key, key))

        assert ["k1", "k2"] == await core.values(request)

    async def test_in_order(self, core: Core) -> None:
        """Presses are shown in the order of the platform's time, however they came."""
        request = await core.sent()

        await core.press(Press("k2", "later"), at=NOW + 20)
        await core.press(Press("k1", "sooner"), at=NOW + 10)

        assert ["sooner", "later"] == await core.values(request)

    async def test_somebody_elses(self, core: Core) -> None:
        """A message id alone opens nothing: person or conversation, tenant, bot and channel must be the delivery's."""
        await core.sent()

        for changes in (*FOREIGN, {"message_id": "17"}, {"message_id": None}):
            await core.press(**changes)
            assert await core.count() == 0, changes

    @pytest.mark.parametrize("changes", [{"user_id": "29:ada"}, {"conversation_id": "19:ada@unq.gbl.spaces"}], ids=str)
    async def test_theirs_by_another_name(self, core: Core, changes: dict[str, Any]) -> None:
        """A person or conversation that has two ids is known by the other of the two."""
        await core.sent()

        await core.press(**changes)

        assert await core.count() == 1

    async def test_oversized(self, core: Core) -> None:
        """Of a value beyond two kilobytes only a note is kept."""
        request = await core.sent()

        await core.press(Press("k1", {"text": "x" * 3000}, "OK"))

        [[response]] = await core.shown(request)
        note = "the value has 3011 bytes and was not kept: at most 2048 are"
        assert response.detail == {"label": "OK", "note": note}

    async def test_full(self, core: Core, caplog: pytest.LogCaptureFixture) -> None:
        """The first twenty are kept, however many come at once, and the log says that there were more."""
        caplog.set_level(logging.INFO)
        request = await core.sent()

        await core.press(Press("first", "first"))
        await asyncio.gather(*(core.press(Press(f"k{number}", number)) for number in range(22)))

        values = await core.values(request)
        actions = [getattr(record, "action", None) for record in caplog.records]
        assert len(values) == responses.MOST == 20
        assert values[0] == "first"
        assert (20, 3) == (actions.count("response_recorded"), actions.count("response_not_kept"))

    @pytest.mark.parametrize("state", ["uncertain", "unconfirmed"])
    async def test_proves_and_is_kept(self, core: Core, state: str) -> None:
        """A press that proves a message in doubt is recorded on it as well."""
        request = await core.sent(state=state, message_id=None, final_at=NOW, reason="no_clear_answer")
        async with core.database.write() as tx:
            await tx.execute(update(tables.requests).values(succeeded=0, status="FAILURE"))

        await core.press()

        record = await core.requests.status(BOT, request)
        assert record is not None
        assert [("sent", 1)] == [(entry.outcome, len(entry.responses)) for entry in record.entries]


class TestSaid:
    async def test_words_of_a_button(self, core: Core) -> None:
        """A text that is exactly what a button says is a press of that button, with its title."""
        request = await core.sent()

        await core.say("yes")

        assert [[Response(NOW + 60, "reply", {"value": "yes", "label": "Yes, please"})]] == await core.shown(request)

    async def test_no_other_text(self, core: Core) -> None:
        """What people write is not kept, with or without the id of a message."""
        await core.sent()

        for text in ("Yes", "yes!", "yes, but later", "Yes, please"):
            await core.say(text)
            await core.say(text, message_id=SENT)

        assert await core.count() == 0

    async def test_the_newest(self, core: Core) -> None:
        """Of several messages with such a button it is the newest, one without it not counted."""
        older, newer = await core.sent("16"), await core.sent("17")
        newest = await core.sent("18", payload=template({"title": "Fine", "payload": "Fine"}))

        await core.say("yes")

        assert [[], ["yes"], []] == [await core.values(each) for each in (older, newer, newest)]

    async def test_named(self, core: Core) -> None:
        """A text that names its message belongs to that one, and to none if it has no such button."""
        older, newer = await core.sent("16"), await core.sent("17")
        other = await core.sent("18", payload=template({"title": "Fine", "payload": "Fine"}))

        await core.say("yes", message_id="16")
        await core.say("yes", key="k2", message_id="18")

        assert [["yes"], [], []] == [await core.values(each) for each in (older, newer, other)]

    async def test_long_ago(self, core: Core) -> None:
        """A button further back than the newest requests with such buttons is not looked for; others do not count."""
        await core.sent("1")
        for number in range(LOOKED_AT):
            await core.sent(str(number + 2), payload={"type": "message", "text": "Hello"})
        await core.say("yes")
        assert await core.count() == 1

        for number in range(LOOKED_AT):
            await core.sent(str(number + 20), payload=template({"title": "Fine", "payload": "Fine"}))
        await core.say("yes", key="k2")

        assert await core.count() == 1

    async def test_their_own_message_of_two_kinds(self, core: Core) -> None:
        """A message that differs from its request's is looked at as it was sent to the person."""
        own = b'{"attachments":[{"content":{"buttons":[{"type":"imBack","title":"A","value":"a"}]}}]}'
        request = await core.sent()
        async with core.database.write() as tx:
            await tx.execute(update(tables.deliveries).values(payload=own))

        await core.say("yes")
        await core.say("a", key="k2")

        assert ["a"] == await core.values(request)

    async def test_somebody_elses(self, core: Core) -> None:
        """Only the messages of this person, from this bot, in this tenant."""
        await core.sent()

        for changes in FOREIGN:
            await core.say("yes", **changes)
            assert await core.count() == 0, changes

    async def test_known_by_their_teams_id(self, core: Core) -> None:
        """A message that was sent to a Teams id is found although the event names the Entra id first."""
        request = await core.sent(user_id="29:ada")

        await core.say("yes")

        assert ["yes"] == await core.values(request)


class TestCost:
    @pytest.fixture
    def database_kind(self) -> str:
        """PostgreSQL decides by what it has counted; SQLite by the statement alone."""
        return "sqlite"

    async def test_indexes(self, core: Core) -> None:
        """However many messages there are, a person's, a message's and a request's are found by their index."""
        asked: list[tuple[str, Any]] = []

        def listen(_connection: Any, _cursor: Any, statement: str, parameters: Any, *_more: Any) -> None:
            asked.append((statement, parameters))

        place = {"bot_id": BOT, "tenant_id": TENANT}
        event.listen(core.database.engine.sync_engine, "before_cursor_execute", listen)
        async with core.database.read() as tx:
            await responses.echoed_to(tx, **place, user_ids=["ada", "29:ada"], limit=LOOKED_AT)
            named = {"message_id": SENT, "user_id": "ada", "conversation_id": "a:1ada"}
            await responses.sent_as(tx, **place, channel="msteams", **named)
            await responses.of_request(tx, "ds-1")
            plans = [await tx.exec_driver_sql(f"EXPLAIN QUERY PLAN {each[0]}", each[1]) for each in list(asked)]
            details = [str(row.detail) for plan in plans for row in plan.all()]

        assert [
            "SEARCH requests USING INDEX sqlite_autoindex_requests_1 (id=?)",
            "SEARCH requests USING INDEX ix_requests_echoes (bot_id=?)",
            "SEARCH deliveries USING INDEX sqlite_autoindex_deliveries_2 (request_id=?)",
            "SEARCH deliveries USING INDEX ix_deliveries_message (bot_id=? AND channel=? AND message_id=?)",
            "SEARCH requests USING INDEX sqlite_autoindex_requests_1 (id=?)",
            "SEARCH deliveries USING INDEX sqlite_autoindex_deliveries_2 (request_id=?)",
            "SEARCH responses USING INDEX sqlite_autoindex_responses_1 (delivery_id=?)",
        ] == [each for each in details if each.startswith(("SEARCH", "SCAN"))]


class TestDeletion:
    async def test_with_its_request(self, core: Core) -> None:
        """Emptying an old request deletes what was pressed in its messages, and nothing else."""
        await core.sent()
        await core.press()
        young = await core.sent("17")
        await core.press(message_id="17")
        async with core.database.write() as tx:
            table = tables.requests
            await tx.execute(update(table).where(table.c.id == young).values(closed_at=NOW + 29 * DAY))

        tidied = await tidy(core.database, days=30, key=b"k", now=NOW + 31 * DAY)

        assert (1, 1) == (tidied.requests, await core.count())
        assert 1 == len((await core.shown(young))[0])
