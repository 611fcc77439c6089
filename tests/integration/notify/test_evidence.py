"""Late evidence turns what is in doubt into sent, and nothing else, on both databases."""

from __future__ import annotations

import pytest
from sqlalchemy import RowMapping, select, update

from adapters.base import BotId, ChannelName, TenantId
from adapters.evidence import Evidence, EvidenceKind
from notify.evidence import EvidenceBook, stored_at
from notify.message import Kind, Message
from notify.records import Entry, RequestRecord, Submission
from notify.requests import Requests
from storage import tables
from storage.engine import Database

BOT = BotId("st-00000000-0000-5000-8000-000000000001")
TENANT = TenantId("T1")
STARTED = 1_795_000_000.0
CONVERSATION = "a:1ada"


async def doubtful(
    database: Database, state: str = "unconfirmed", people: int = 1, *, started: float = STARTED, copies: bool = False
) -> str:
    """A request whose deliveries went on the wire at `started` and were never answered; returns its id."""
    requests = Requests(database, wake=lambda _lane: None, deadline_hours=24)
    entries = [Entry(f"p{number}@x.example", f"p{number}@x.example") for number in range(people)]
    if copies:
        entries.append(Entry("P0@x.example", "p0@x.example"))
    submission = Submission(
        BOT,
        ChannelName.MSTEAMS,
        "cs-1",
        "u-1",
        "v1",
        "resolve",
        Message(Kind.NATIVE, {"type": "message", "text": "hi"}),
        entries,
    )
    made: list[RequestRecord] = []

    def write(record: RequestRecord) -> bytes:
        made.append(record)
        return b"{}"

    await requests.accept(submission, now=STARTED - 1, write=write)
    final = state == "unconfirmed"
    async with database.write() as tx:
        await tx.execute(
            update(tables.deliveries)
            .where(tables.deliveries.c.request_id == made[0].id)
            .values(
                state=state,
                tenant_id=TENANT,
                user_id="ada",
                conversation_id=CONVERSATION,
                wire_started_at=started,
                final_at=STARTED + 20 if final else None,
                next_at=None if final else STARTED + 20,
                reason="no_clear_answer",
            )
        )
        if final:
            total = len(entries)
            await tx.execute(
                update(tables.requests)
                .where(tables.requests.c.id == made[0].id)
                .values(done=total, status="FAILURE", closed_at=STARTED + 20, times_closed=1)
            )
    return made[0].id


async def prove(
    database: Database,
    message_id: str | None,
    *,
    kind: EvidenceKind = "reply",
    user_id: str = "ada",
    conversation_id: str = CONVERSATION,
    channel: ChannelName = ChannelName.MSTEAMS,
) -> None:
    book = EvidenceBook(clock=lambda: STARTED + 100)
    async with database.write() as tx:
        await book(tx, Evidence(BOT, channel, TENANT, user_id, conversation_id, message_id, kind, STARTED + 99))


def teams_id(moment: float) -> str:
    return str(int(moment * 1000))


async def request_row(database: Database, request_id: str) -> RowMapping:
    async with database.read() as tx:
        return (await tx.execute(select(tables.requests).where(tables.requests.c.id == request_id))).mappings().one()


async def states(database: Database, request_id: str) -> list[str]:
    async with database.read() as tx:
        rows = await tx.execute(
            select(tables.deliveries.c.state)
            .where(tables.deliveries.c.request_id == request_id)
            .order_by(tables.deliveries.c.position)
        )
        return [row.state for row in rows]


class TestProof:
    @pytest.mark.parametrize("kind", ["reply", "button", "reaction", "read"])
    async def test_unconfirmed_becomes_sent(self, database: Database, kind: EvidenceKind) -> None:
        """Evidence of any kind about a message made during our call turns the failure into a success."""
        request_id = await doubtful(database)

        await prove(database, teams_id(STARTED + 0.4), kind=kind)

        row = await request_row(database, request_id)
        assert await states(database, request_id) == ["sent"]
        assert (row["status"], row["succeeded"], row["done"], row["times_closed"]) == ("SUCCESS", 1, 1, 1)
        assert row["changed_at"] == STARTED + 100

    async def test_the_final_moment_is_kept(self, database: Database) -> None:
        """What was told as the moment a delivery ended stays; the message's id and our store id are added."""
        request_id = await doubtful(database)

        await prove(database, teams_id(STARTED + 0.4))

        requests = Requests(database, wake=lambda _lane: None, deadline_hours=24)
        record = await requests.status(BOT, request_id)
        assert record is not None
        assert [(entry.final_at, entry.outcome, entry.reason) for entry in record.entries] == [
            (STARTED + 20, "sent", None)
        ]
        assert record.entries[0].store_id is not None

    async def test_uncertain_is_counted_and_closed(self, database: Database) -> None:
        """Evidence that comes while we are still looking ends the delivery and closes its request once."""
        request_id = await doubtful(database, "uncertain")

        await prove(database, teams_id(STARTED + 0.4))

        row = await request_row(database, request_id)
        assert (row["status"], row["succeeded"], row["done"], row["times_closed"]) == ("SUCCESS", 1, 1, 1)

    async def test_duplicates_follow(self, database: Database) -> None:
        """A duplicate shares the fate of the delivery that evidence proves."""
        request_id = await doubtful(database, copies=True)

        await prove(database, teams_id(STARTED + 0.4))

        assert await states(database, request_id) == ["sent", "sent"]
        assert (await request_row(database, request_id))["succeeded"] == 2

    async def test_twice_is_once(self, database: Database) -> None:
        """The same evidence again changes nothing."""
        request_id = await doubtful(database)

        await prove(database, teams_id(STARTED + 0.4))
        await prove(database, teams_id(STARTED + 0.4), kind="read")

        assert (await request_row(database, request_id))["succeeded"] == 1


class TestNoProof:
    @pytest.mark.parametrize(
        ("message_id", "why"),
        [
            (None, "names no message"),
            ("not-a-number", "has an id without a moment"),
            ("nan", "has an id without a moment"),
            (teams_id(STARTED - 3600), "is about an older message"),
            (teams_id(STARTED + 3600), "is about a newer message"),
        ],
    )
    async def test_other_messages(self, database: Database, message_id: str | None, why: str) -> None:
        """Evidence that does not fit the moment of our call proves nothing."""
        request_id = await doubtful(database)

        await prove(database, message_id)

        assert await states(database, request_id) == ["unconfirmed"], why

    async def test_other_people(self, database: Database) -> None:
        """What somebody else did in another conversation proves nothing."""
        request_id = await doubtful(database)

        await prove(database, teams_id(STARTED + 0.4), user_id="bob", conversation_id="a:1bob")

        assert await states(database, request_id) == ["unconfirmed"]

    async def test_two_could_claim_it(self, database: Database) -> None:
        """When two deliveries to the person could be the message, neither is believed."""
        first, second = await doubtful(database), await doubtful(database, started=STARTED + 1)

        await prove(database, teams_id(STARTED + 1.2))

        assert await states(database, first) + await states(database, second) == ["unconfirmed", "unconfirmed"]

    async def test_a_message_of_a_known_delivery(self, database: Database) -> None:
        """Evidence about a message that belongs to a delivery already proves nothing about another one."""
        request_id = await doubtful(database)
        other = await doubtful(database, started=STARTED - 7200)
        async with database.write() as tx:
            await tx.execute(
                update(tables.deliveries)
                .where(tables.deliveries.c.request_id == other)
                .values(state="sent", message_id=teams_id(STARTED + 0.4))
            )

        await prove(database, teams_id(STARTED + 0.4))

        assert await states(database, request_id) == ["unconfirmed"]


def test_moments_in_ids() -> None:
    """Teams ids are milliseconds, Slack's are seconds."""
    assert stored_at(ChannelName.MSTEAMS, "1795000000400") == 1_795_000_000.4
    assert stored_at(ChannelName.SLACK, "1795000000.400100") == 1_795_000_000.4001
    assert stored_at(ChannelName.SLACK, "inf") is None
