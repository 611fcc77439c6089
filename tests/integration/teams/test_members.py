"""The members call after an install, and what it teaches."""

from __future__ import annotations

from typing import Any

import pytest
from aiohttp import ClientSession, web

from adapters.base import ChannelName, Chore, ChoreDone, ChoreLater, FaultClass, Lane
from adapters.teams.members import AGAIN_SECONDS, MAX_TRIES, MemberChore
from identity.email import normal_form
from identity.resolver import FRESH_SECONDS
from storage import directory, references
from storage.directory import KnownPerson
from storage.engine import Database
from storage.references import Reference
from tests.integration.teams import kit
from tests.integration.teams.kit import BOT, CONVERSATION, PERSON, TEAMS_ID, TENANT, Cloud

MEMBER = {
    "id": TEAMS_ID,
    "name": "Ada Lovelace",
    "email": "Ada@Example.com",
    "userPrincipalName": "ada.l@example.onmicrosoft.com",
    "aadObjectId": PERSON,
    "tenantId": TENANT,
    "userRole": "user",
}


def chore(cloud: Cloud, *, attempts: int = 0, **detail: Any) -> Chore:
    wanted = {"conversation_id": CONVERSATION, "user_id": PERSON, "service_url": cloud.service_url} | detail
    return Chore(1, Lane(BOT, ChannelName.MSTEAMS, TENANT), "teams.member", CONVERSATION, wanted, attempts)


@pytest.fixture(name="handler")
async def _handler(cloud: Cloud, session: ClientSession, database: Database) -> MemberChore:
    return MemberChore(kit.bots(cloud, session), database, normal_form=normal_form)


async def known(database: Database, *addresses: str) -> list[KnownPerson]:
    async with database.read() as tx:
        return await directory.lookup(tx, bot_id=BOT, channel="msteams", tenant_id=TENANT, addresses=addresses)


def answering(status: int, body: Any, headers: dict[str, str] | None = None) -> kit.Handler:
    async def answer(_request: web.Request) -> web.StreamResponse:
        return web.json_response(body, status=status, headers=headers)

    return answer


class TestLearning:
    async def test_mail_and_sign_in_name(self, handler: MemberChore, cloud: Cloud, database: Database) -> None:
        """One GET through the gate teaches both addresses, without Graph."""
        cloud.connector = answering(200, MEMBER)
        gate = kit.FakeGate()

        outcome = await handler(chore(cloud), gate)

        people = await known(database, "ada@example.com", "ada.l@example.onmicrosoft.com")
        assert outcome == ChoreLater(AGAIN_SECONDS)
        assert gate.entered == ["connector"]
        assert [(person.user_id, person.name, person.source) for person in people] == [
            (PERSON, "Ada Lovelace", "install")
        ] * 2
        assert cloud.count(f"/emea/v3/conversations/{CONVERSATION}/members/{PERSON}") == 1

    def test_it_comes_again_in_time(self) -> None:
        """Without Graph an e-mail is confirmed again before it stops being believed."""
        assert AGAIN_SECONDS < FRESH_SECONDS

    async def test_an_address_that_moved_on(self, handler: MemberChore, cloud: Cloud, database: Database) -> None:
        """The next round takes an e-mail away from who no longer has it."""
        cloud.connector = answering(200, MEMBER)
        await handler(chore(cloud), kit.FakeGate())
        cloud.connector = answering(200, MEMBER | {"email": "ada.king@example.com"})
        await handler(chore(cloud), kit.FakeGate())

        assert await known(database, "ada@example.com") == []
        assert len(await known(database, "ada.king@example.com")) == 1

    async def test_an_odd_profile(self, handler: MemberChore, cloud: Cloud, database: Database) -> None:
        """What no database takes is left out of a name, and an address that holds it is none."""
        cloud.connector = answering(200, MEMBER | {"name": "A\0da" + "a" * 999, "email": "ada\0@example.com"})

        await handler(chore(cloud), kit.FakeGate())

        (person,) = await known(database, "ada.l@example.onmicrosoft.com")
        assert person.name == "Ada" + "a" * 253

    async def test_object_id_learned_late(self, handler: MemberChore, cloud: Cloud, database: Database) -> None:
        """If the event named no Entra id, the reference is kept under it too, so that the e-mail leads to it."""
        async with database.write() as tx:
            await references.capture(
                tx,
                Reference(BOT, "msteams", TENANT, TEAMS_ID, TEAMS_ID, CONVERSATION, cloud.service_url, 100.0),
                100.0,
            )
        cloud.connector = answering(
            200, {"objectId" if name == "aadObjectId" else name: value for name, value in MEMBER.items()}
        )

        await handler(chore(cloud, user_id=TEAMS_ID), kit.FakeGate())

        people = await known(database, "ada@example.com")
        assert [(person.user_id, person.conversation_id) for person in people] == [(PERSON, CONVERSATION)]

    @pytest.mark.parametrize(
        "changes", [{"userRole": "guest"}, {"userPrincipalName": "a_b.example#EXT#@example.onmicrosoft.com"}]
    )
    async def test_guests(
        self, handler: MemberChore, cloud: Cloud, database: Database, changes: dict[str, Any]
    ) -> None:
        """A guest is stored as one."""
        cloud.connector = answering(200, MEMBER | changes)

        await handler(chore(cloud), kit.FakeGate())

        assert {person.kind for person in await known(database, "ada@example.com")} == {"guest"}

    @pytest.mark.parametrize("email", [None, "", "no address", 5, "a" * 320 + "@example.com"])
    async def test_no_address(self, handler: MemberChore, cloud: Cloud, database: Database, email: object) -> None:
        """What is no e-mail leads to nobody; the sign-in name still does."""
        cloud.connector = answering(200, MEMBER | {"email": email})

        assert await handler(chore(cloud), kit.FakeGate()) == ChoreLater(AGAIN_SECONDS)
        assert len(await known(database, "ada.l@example.onmicrosoft.com")) == 1


@pytest.mark.parametrize("database_kind", ["sqlite"], indirect=True)
class TestRefusals:
    @pytest.mark.parametrize(
        ("status", "code", "note"),
        [
            (404, "MemberNotFoundInConversation", "not_in_conversation"),
            (404, "ConversationNotFound", "conversation_not_found"),
            (403, "BotNotInConversationRoster", "app_not_installed"),
            (403, "SomethingNew", "unknown_code"),
        ],
    )
    async def test_final(self, handler: MemberChore, cloud: Cloud, status: int, code: str, note: str) -> None:
        """A refusal ends the chore with its reason."""
        cloud.connector = answering(status, {"error": {"code": code, "message": ""}})

        assert await handler(chore(cloud), kit.FakeGate()) == ChoreDone(note)

    async def test_throttled(self, handler: MemberChore, cloud: Cloud) -> None:
        """429 pauses the lane's bucket and the chore comes again, however often."""
        cloud.connector = answering(429, {}, {"Retry-After": "30"})
        gate = kit.FakeGate()

        outcome = await handler(chore(cloud, attempts=50), gate)

        assert isinstance(outcome, ChoreLater)
        assert outcome.after >= 30
        assert gate.pauses == [("connector", 30.0)]

    @pytest.mark.parametrize("status", [500, 502, 503])
    async def test_later(self, handler: MemberChore, cloud: Cloud, status: int) -> None:
        """Trouble of the platform is waited out, longer each time, and in the end until the next round."""
        cloud.connector = answering(status, {})

        first = await handler(chore(cloud), kit.FakeGate())
        third = await handler(chore(cloud, attempts=2), kit.FakeGate())
        last = await handler(chore(cloud, attempts=MAX_TRIES - 1), kit.FakeGate())

        assert isinstance(first, ChoreLater)
        assert isinstance(third, ChoreLater)
        assert (first.after, third.after) == (5.0, 20.0)
        assert last == ChoreLater(AGAIN_SECONDS)

    async def test_html_instead_of_a_member(self, handler: MemberChore, cloud: Cloud) -> None:
        """A success that is no member is asked again."""

        async def html(_request: web.Request) -> web.StreamResponse:
            return web.Response(text="<html>", content_type="text/html")

        cloud.connector = html

        assert isinstance(await handler(chore(cloud), kit.FakeGate()), ChoreLater)

    async def test_no_token(self, handler: MemberChore, cloud: Cloud) -> None:
        """Without a token the chore waits, and the fault is the lane's."""
        cloud.token = answering(401, {"error": "invalid_client"})

        outcome = await handler(chore(cloud), kit.FakeGate())

        assert isinstance(outcome, ChoreLater)
        assert outcome.fault is not None
        assert outcome.fault.klass is FaultClass.CONFIGURATION

    async def test_poisoned_service_url(self, handler: MemberChore, cloud: Cloud) -> None:
        """S02: a stored service URL is checked again before the token goes there."""
        outcome = await handler(chore(cloud, service_url="https://evil.test/"), kit.FakeGate())

        assert outcome == ChoreDone("service url not allowed")
        assert cloud.asked == []
