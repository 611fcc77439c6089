"""Lists of people that do not end, say less than they should, or show no e-mails; on both databases."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, ClassVar

import pytest
from aiohttp import web
from sqlalchemy import select

from adapters.base import Chore, ChoreLater, FaultClass
from adapters.slack.installations import DIRECTORY
from identity.answers import LookupFailed
from identity.slack import LIST, LOOK_UP
from identity.slack_listing import SlackDirectory, SlackListing
from storage import directory
from storage.directory import Person
from storage.tables import people as people_table
from tests.integration.slack.kit import ALL_SCOPES, BOT, TEAM, Heard, SlackSide, StubSlack, user
from tests.integration.slack.people_kit import (
    LANE,
    SLACK,
    a,
    daily,
    find,
    mirror,
    run,
    stored,
    was_listed,
    workspace,
)


@pytest.fixture(name="side")
async def installed(side: SlackSide) -> SlackSide:
    await side.install()
    return side


class TestWithoutEnd:
    """Lists that do not come to an end: what was listed counts, and the rest is looked up one by one."""

    def endless(self, stub: StubSlack, after: Callable[[str | None], tuple[int, int, str]]) -> None:
        """users.list gives the people of a range and a next cursor; look-ups know p0 … p39."""
        workspace(stub, 40)
        members = [user(f"U{number}", a(number)) for number in range(40)]

        def page(call: Heard) -> dict[str, Any]:
            first, last, cursor = after(call.arguments.get("cursor"))
            return {"ok": True, "members": members[first:last], "response_metadata": {"next_cursor": cursor}}

        stub.replies[LIST] = page

    LISTS: ClassVar[dict[str, Callable[[str | None], tuple[int, int, str]]]] = {
        "the-same-cursor": lambda cursor: (10 if cursor else 0, 20 if cursor else 10, "A"),
        "in-a-circle": lambda cursor: {None: (0, 10, "A"), "A": (10, 20, "B")}.get(cursor, (0, 10, "A")),
        "a-late-circle": lambda cursor: (0, 20, str(int(cursor or 0) + 1) if int(cursor or 0) < 9 else "4"),
        "empty-pages": lambda cursor: (0, 0 if cursor else 20, str(int(cursor or 0) + 1)),
        "always-more": lambda cursor: (0, 20, str(int(cursor or 0) + 1)),
    }

    @pytest.mark.parametrize("name", LISTS)
    async def test_a_request(self, side: SlackSide, stub: StubSlack, name: str) -> None:
        """Everybody is found; who was listed without a look-up, and nobody is disabled."""
        await was_listed(side, 40)
        self.endless(stub, self.LISTS[name])

        found = await find(side, [a(number) for number in range(40)])

        assert all(isinstance(each, Person) for each in found.values())
        assert {call.arguments["email"] for call in stub.calls(LOOK_UP)} == {a(number) for number in range(20, 40)}
        assert len(stub.calls(LIST)) <= 24
        assert await stored(side, a(3)) == [("U3", False, LIST)]

    @pytest.mark.parametrize("name", LISTS)
    async def test_the_daily_listing(self, side: SlackSide, stub: StubSlack, name: str) -> None:
        """It ends with a clear word, begins again an hour later, and disables nobody."""
        workspace(stub, 40)
        await run(side, daily(side))
        self.endless(stub, self.LISTS[name])
        handler = SlackDirectory(
            SlackListing(side.client, side.installations, side.database, side.clock, most_pages=30), side.installations
        )

        outcomes = await run(side, handler)

        known = await mirror(side)
        assert known is not None
        assert (outcomes[-1].after, outcomes[-1].detail) == (3600.0, {})
        assert len(outcomes) <= 30
        assert (known.begun, known.completed, known.members) == (2, 1, 40)
        assert await stored(side, a(39)) == [("U39", False, LIST)]

    async def test_it_says_so(self, side: SlackSide, stub: StubSlack, caplog: pytest.LogCaptureFixture) -> None:
        """The log names the workspace and what was odd about its list."""
        self.endless(stub, self.LISTS["in-a-circle"])

        await run(side, daily(side))

        [event] = [each for each in caplog.records if getattr(each, "action", "") == "slack.list.endless"]
        assert (getattr(event, "code", ""), getattr(event, "lane", "")) == (
            "cursor_repeated",
            str(LANE),
        )

    async def test_look_ups_that_fail_as_well(self, side: SlackSide, stub: StubSlack) -> None:
        """Whoever cannot be looked up either stays open, and is told why."""
        await was_listed(side, 40)
        self.endless(stub, self.LISTS["the-same-cursor"])
        stub.replies[LOOK_UP] = lambda _: web.Response(status=503)

        found = await find(side, [a(number) for number in range(40)])

        late = [each for each in found.values() if isinstance(each, LookupFailed)]
        assert len(late) == 20
        assert {each.fault.klass for each in late} == {FaultClass.NOT_SENT}


class TestOddPages:
    """Pages that say less than they should."""

    @pytest.mark.parametrize(
        "body",
        [
            {"members": []},
            {"members": [user("U0", a(0))], "response_metadata": {"next_cursor": 7}},
            {"members": [user("U0", a(0))], "response_metadata": ["next"]},
            {"members": {"U0": {}}},
            {},
        ],
        ids=["nobody", "number", "no-metadata", "no-list", "nothing"],
    )
    async def test_nobody_is_gone(self, side: SlackSide, stub: StubSlack, body: dict[str, Any]) -> None:
        """A page that cannot be the last disables nobody and is asked for again."""
        workspace(stub, 30)
        await run(side, daily(side))
        stub.replies[LIST] = lambda _: {"ok": True, **body}

        chore = Chore(1, LANE, DIRECTORY, "users", {})
        outcome = await daily(side)(chore, side.gate)
        found = await find(side, [a(number) for number in range(30)])

        assert isinstance(outcome, ChoreLater)
        assert 0.0 < outcome.after < 60.0
        assert all(isinstance(each, Person) for each in found.values())
        assert await stored(side, a(29)) == [("U29", False, LIST)]

    async def test_broken_people(self, side: SlackSide, stub: StubSlack) -> None:
        """Somebody whose fields are broken harms nobody else, and is stored without them or not at all."""
        broken: list[Any] = [
            None,
            "U7",
            [],
            {},
            user("U10") | {"id": None},
            user("U11") | {"id": 11},
            user("U12", a(12)) | {"profile": None},
            user("U13", a(13)) | {"profile": [1]},
            user("U14") | {"profile": {"email": 14}},
            user("U15") | {"profile": {"email": ["x@example.com"]}},
            user("U16", "x" * 10_000 + "@example.com"),
            user("U17", a(17)) | {"profile": {"email": a(17), "real_name": {"a": 1}}, "real_name": 5, "locale": []},
            user("U18", a(18)) | {"team_id": None, "enterprise_user": "E1"},
        ]
        whole = [user("U0", a(0)), user("U1", a(1), is_restricted=True)]
        stub.replies[LIST] = lambda _: web.Response(
            text=json.dumps({"ok": True, "members": [whole[0], *broken, whole[1]]}), content_type="application/json"
        )
        await was_listed(side, 16)

        found = await find(side, [a(0), a(1), a(17)] + [f"nobody{number}@example.com" for number in range(20)])

        assert {each for each, answer in found.items() if isinstance(answer, Person)} == {a(0), a(1), a(17)}
        async with side.database.read() as tx:
            rows = (await tx.execute(select(people_table.c.user_id))).scalars()
        assert {"U0", "U1", "U12", "U13", "U14", "U15", "U16", "U17"} == set(rows)


class TestWithoutEmails:
    """A token that may not read e-mails lists people without them."""

    def pages(self, stub: StubSlack, scopes: str | None) -> None:
        """Everybody without e-mail, and what Slack says of the token."""
        headers = {} if scopes is None else {"X-OAuth-Scopes": scopes}
        members = [user("U0", real_name="New Name"), user("U1")]
        stub.replies[LIST] = lambda _: web.json_response({"ok": True, "members": members}, headers=headers)

    @pytest.mark.parametrize(
        ("granted", "said"),
        [(("users:read",), None), ((), None), (ALL_SCOPES, "chat:write,users:read"), ((), "users:read")],
        ids=["granted", "unknown", "withdrawn", "said"],
    )
    async def test_stored_ones_stay(
        self, side: SlackSide, stub: StubSlack, granted: tuple[str, ...], said: str | None
    ) -> None:
        """That a token may not see an address is no news about the person; a name is."""
        workspace(stub, 2)
        await run(side, daily(side))
        await side.install(scopes=granted)
        self.pages(stub, said)

        await run(side, daily(side))

        assert [("U0", False, LIST), ("U1", False, LIST)] == await stored(side, a(0)) + await stored(side, a(1))
        async with side.database.read() as tx:
            rows = await directory.lookup(tx, bot_id=BOT, channel=SLACK, tenant_id=TEAM, addresses=[a(0)])
        assert [row.name for row in rows] == ["New Name"]

    async def test_an_address_that_was_given_up(self, side: SlackSide, stub: StubSlack) -> None:
        """A token that may read e-mails is believed: who has none any more has none."""
        workspace(stub, 2)
        await run(side, daily(side))
        members = [user("U0", a(0)), user("U1")]
        stub.replies[LIST] = lambda _: {"ok": True, "members": members}

        await run(side, daily(side))

        assert (await stored(side, a(0)), await stored(side, a(1))) == ([("U0", False, LIST)], [])
