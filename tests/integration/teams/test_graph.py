"""Looking people up by Microsoft Graph: every answer once, and only what Graph's own fields prove."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import orjson
import pytest
from aiohttp import ClientSession, web

from adapters.base import FaultClass
from identity.answers import LookupFailed, NotAsked, PersonAnswer, Unlicensed
from identity.teams import GraphPeople
from storage.directory import Person
from tests.integration.teams import kit
from tests.integration.teams.kit import BOT, TENANT, Clock, Cloud

Part = dict[str, Any]
EXCHANGE = {"service": "exchange", "capabilityStatus": "Enabled"}
DENIED: Part = {"status": 403, "body": {"error": {"code": "Authorization_RequestDenied"}}}


def user(number: int, **changes: Any) -> dict[str, Any]:
    base = {
        "id": f"oid-{number}",
        "displayName": f"Person {number}",
        "mail": f"p{number}@example.com",
        "userPrincipalName": f"p{number}@example.com",
        "userType": "Member",
        "accountEnabled": True,
        "proxyAddresses": [f"SMTP:p{number}@example.com"],
        "otherMails": [],
    }
    return base | changes


class Directory:
    """A scripted Graph: answers each part of a batch, in reverse order."""

    def __init__(self, *users: dict[str, Any]) -> None:
        self.users = users
        self.batches: list[list[str]] = []
        self.part: Callable[[str], Part | None] = lambda _url: None

    async def __call__(self, request: web.Request) -> web.StreamResponse:
        asked = orjson.loads(await request.read())["requests"]
        self.batches.append([part["url"] for part in asked])
        parts = [{"id": part["id"], **(self.part(part["url"]) or self._found(part["url"]))} for part in asked]
        return web.json_response({"responses": parts[::-1]})

    def _found(self, url: str) -> Part:
        parsed = urlsplit(url)
        if parsed.path != "/users":
            name = unquote(parsed.path.removeprefix("/users/")).lower()
            found = next((each for each in self.users if each["userPrincipalName"].lower() == name), None)
            return {"status": 404, "body": {}} if found is None else {"status": 200, "body": found}
        wanted = parse_qs(parsed.query)["$filter"][0]
        values = {value.replace("''", "'").lower() for value in re.findall(r"eq '((?:[^']|'')*)'", wanted)}
        return {"status": 200, "body": {"value": [each for each in self.users if values & _fields(each)]}}


def _fields(each: Mapping[str, Any]) -> set[str]:
    listed = [each["mail"], each["userPrincipalName"], *each["proxyAddresses"], *each["otherMails"]]
    return {value.lower() for value in listed if value}


@pytest.fixture(name="people")
async def _people(cloud: Cloud, session: ClientSession) -> GraphPeople:
    return GraphPeople(kit.bots(cloud, session))


async def find(people: GraphPeople, *addresses: str, gate: kit.FakeGate | None = None) -> dict[str, PersonAnswer]:
    answers: dict[str, PersonAnswer] = {}
    async for found in people.find(BOT, TENANT, addresses, gate or kit.FakeGate()):
        assert not set(found) & set(answers)  # each address is answered exactly once
        answers |= found
    assert set(answers) == set(addresses)
    return answers


def reasons(answers: Mapping[str, PersonAnswer]) -> dict[str, str]:
    return {
        address: "found" if isinstance(answer, Person) else getattr(answer, "reason", None) or answer.fault.reason  # type: ignore[union-attr]
        for address, answer in answers.items()
    }


class TestFinding:
    async def test_a_thousand_in_seventeen_calls(self, people: GraphPeople, cloud: Cloud) -> None:
        """1000 addresses cost 17 batches of 20 filters of 3 addresses and 15 clauses, each through the gate."""
        directory = Directory(*(user(number) for number in range(1000)))
        cloud.graph = directory
        gate = kit.FakeGate()

        answers = await find(people, *(f"p{number}@example.com" for number in range(1000)), gate=gate)

        urls = [url for batch in directory.batches for url in batch]
        assert all(isinstance(answer, Person) for answer in answers.values())
        assert len(directory.batches) == len(gate.entered) == 17
        assert max(len(batch) for batch in directory.batches) == 20
        assert max(unquote(url).count(" or ") for url in urls) == 14
        assert cloud.tokens_given == 1

    @pytest.mark.parametrize(
        ("changes", "address"),
        [
            ({"mail": "Ann@Example.com"}, "ann@example.com"),
            ({"userPrincipalName": "ann@example.com"}, "ann@example.com"),
            ({"proxyAddresses": ["smtp:ann@example.com", "X500:/o=x"]}, "ann@example.com"),
            ({"proxyAddresses": ["SMTP:ann@example.com"]}, "ann@example.com"),
            ({"otherMails": ["ann@example.com"]}, "ann@example.com"),
            ({"mail": "o'neil@example.com"}, "o'neil@example.com"),
            ({"mail": "a+b&c#d@example.com"}, "a+b&c#d@example.com"),
        ],
    )
    async def test_every_field(self, people: GraphPeople, cloud: Cloud, changes: dict[str, Any], address: str) -> None:
        """Mail, sign-in name, aliases and other mails lead to the person; quotes and signs survive."""
        cloud.graph = Directory(user(1, **changes))

        found = (await find(people, address))[address]

        assert isinstance(found, Person)
        assert found.user_id == "oid-1"
        assert address in found.emails

    async def test_only_what_the_fields_prove(self, people: GraphPeople, cloud: Cloud) -> None:
        """S18: a hit whose fields do not hold the address, by our own comparison, is no hit."""
        directory = Directory()
        directory.part = lambda _url: {"status": 200, "body": {"value": [user(1), user(2, mail="аnn@example.com")]}}
        cloud.graph = directory

        assert reasons(await find(people, "ann@example.com")) == {"ann@example.com": "person_not_found"}

    @pytest.mark.parametrize(
        ("users", "reason"),
        [
            ([], "person_not_found"),
            ([user(1, mail="x@example.com", accountEnabled=False)], "person_disabled"),
            ([user(1, mail="x@example.com", userType="Guest")], "guest_not_supported"),
            (
                [user(1, mail="x@example.com", userPrincipalName="x_b#EXT#@example.com", userType=None)],
                "guest_not_supported",
            ),
            ([user(1, mail="x@example.com"), user(2, mail="x@example.com")], "person_ambiguous"),
            ([user(1, otherMails=["x@example.com"]), user(2, otherMails=["x@example.com"])], "person_ambiguous"),
            ([user(1, mail="x@example.com"), user(2, otherMails=["x@example.com"])], "found"),
            ([user(1, mail="x@example.com", accountEnabled=False), user(2, mail="x@example.com")], "found"),
        ],
        ids=["none", "disabled", "guest", "guest-by-name", "two", "two-other", "own-before-other", "old-account"],
    )
    async def test_who_may_be_written_to(
        self, people: GraphPeople, cloud: Cloud, users: list[dict[str, Any]], reason: str
    ) -> None:
        """Disabled, guests and several owners are told apart; what Entra manages goes before free text."""
        cloud.graph = Directory(*users)

        assert reasons(await find(people, "x@example.com")) == {"x@example.com": reason}

    @pytest.mark.parametrize(
        ("plans", "licensed"),
        [
            ([EXCHANGE, {"service": "TeamspaceAPI", "capabilityStatus": "Enabled"}], True),
            ([{"service": "TeamspaceAPI", "capabilityStatus": "Warning"}], True),
            ([{"service": "TeamspaceAPI/NA001", "capabilityStatus": "enabled"}], True),
            (
                [
                    {"service": "TeamspaceAPI", "capabilityStatus": "Deleted"},
                    {"service": "TeamspaceAPI", "capabilityStatus": "Enabled"},
                ],
                True,
            ),
            (None, True),
            ("of another kind", True),
            ([{"service": "TeamspaceAPI"}], True),
            ([{"capabilityStatus": "Enabled"}], True),
            (["?"], True),
            ([], False),
            ([EXCHANGE], False),
            ([EXCHANGE, {"service": "TeamspaceAPI", "capabilityStatus": "Suspended"}], False),
            ([{"service": "TeamspaceAPI", "capabilityStatus": "LockedOut"}], False),
            ([{"service": "TeamspaceAPI", "capabilityStatus": "Deleted"}], False),
        ],
        ids=str,
    )
    async def test_licence(self, people: GraphPeople, cloud: Cloud, plans: object, licensed: bool) -> None:
        """Only a whole list of plans without a usable one of Teams says that somebody has no licence."""
        directory = Directory(user(1, assignedPlans=plans))
        cloud.graph = directory

        found = (await find(people, "p1@example.com"))["p1@example.com"]

        assert isinstance(found, Person if licensed else Unlicensed)
        assert "assignedPlans" in unquote(directory.batches[0][0])

    @pytest.mark.parametrize(
        ("users", "reason"),
        [
            ([user(1, mail="x@example.com", accountEnabled=False, assignedPlans=[])], "person_disabled"),
            ([user(1, mail="x@example.com", userType="Guest", assignedPlans=[])], "guest_not_supported"),
            (
                [user(1, mail="x@example.com", assignedPlans=[]), user(2, mail="x@example.com")],
                "person_ambiguous",
            ),
        ],
        ids=["disabled", "guest", "two"],
    )
    async def test_other_reasons_before_the_licence(
        self, people: GraphPeople, cloud: Cloud, users: list[dict[str, Any]], reason: str
    ) -> None:
        """A guest, a deactivated account and an address of several people keep their own reasons."""
        cloud.graph = Directory(*users)

        assert reasons(await find(people, "x@example.com")) == {"x@example.com": reason}

    async def test_no_addresses(self, people: GraphPeople, cloud: Cloud) -> None:
        """Nothing asked, nothing called; what cannot be an address is answered without a call."""
        assert await find(people) == {}
        assert reasons(await find(people, "no address")) == {"no address": "person_not_found"}
        assert cloud.asked == []

    async def test_switched_off(self, cloud: Cloud, session: ClientSession) -> None:
        """With Graph switched off nobody is asked, which is not the same as finding nobody."""
        people = GraphPeople(kit.bots(cloud, session, kit.app(graph=False)))

        answer = (await find(people, "a@example.com"))["a@example.com"]

        assert isinstance(answer, NotAsked)
        assert cloud.asked == []


class TestBasicPermission:
    async def test_falls_back(self, cloud: Cloud, session: ClientSession) -> None:
        """With User.ReadBasic.All: by mail, then by sign-in name; the tenant is remembered for an hour."""
        clock = Clock()
        people = GraphPeople(kit.bots(cloud, session), clock=clock)
        directory = Directory(user(1), user(2, mail=None, userPrincipalName="ann@example.com"))
        directory.part = lambda url: DENIED if "proxyAddresses" in url else None
        cloud.graph = directory

        answers = await find(people, "p1@example.com", "ann@example.com", "nobody@example.com")
        rich = sum("proxyAddresses" in url for batch in directory.batches for url in batch)
        await find(people, "p1@example.com")
        later = sum("proxyAddresses" in url for batch in directory.batches for url in batch)
        clock.at += 3601
        await find(people, "p1@example.com")

        assert reasons(answers) == {
            "p1@example.com": "found",
            "ann@example.com": "found",
            "nobody@example.com": "person_not_found",
        }
        assert rich == later == 1
        assert sum("proxyAddresses" in url for batch in directory.batches for url in batch) == 2

    async def test_no_permission(self, people: GraphPeople, cloud: Cloud) -> None:
        """Without any permission the lane is at fault, not the person."""
        directory = Directory()
        directory.part = lambda _url: DENIED
        cloud.graph = directory

        answer = (await find(people, "a@example.com"))["a@example.com"]

        assert isinstance(answer, LookupFailed)
        assert (answer.fault.klass, answer.fault.reason) == (FaultClass.CONFIGURATION, "permission_missing")


class TestTrouble:
    async def test_one_part_throttled(self, people: GraphPeople, cloud: Cloud) -> None:
        """A throttled part pauses the bucket and is asked again alone; the others are answered at once."""
        directory = Directory(*(user(number) for number in range(6)))
        refusals = iter([{"status": 429, "headers": {"Retry-After": "2"}, "body": {}}])
        directory.part = lambda url: next(refusals, None) if "p3@" in unquote(url) else None
        cloud.graph = directory
        gate = kit.FakeGate()

        answers = await find(people, *(f"p{number}@example.com" for number in range(6)), gate=gate)

        assert set(reasons(answers).values()) == {"found"}
        assert gate.pauses == [("graph", 2.0)]
        assert [len(batch) for batch in directory.batches] == [2, 1]

    async def test_throttled_to_the_end(self, people: GraphPeople, cloud: Cloud) -> None:
        """A Graph that only throttles leaves the question open, with the pause it asked for."""

        async def throttle(_request: web.Request) -> web.StreamResponse:
            return web.json_response({}, status=429, headers={"Retry-After": "9"})

        cloud.graph = throttle
        answer = (await find(people, "a@example.com"))["a@example.com"]

        assert isinstance(answer, LookupFailed)
        assert (answer.fault.reason, answer.retry_after) == ("throttled", 9.0)

    async def test_refused_filter(self, people: GraphPeople, cloud: Cloud) -> None:
        """A filter Graph does not take is divided: the good addresses in it are still found."""
        directory = Directory(*(user(number) for number in range(3)))
        directory.part = lambda url: {"status": 400, "body": {}} if "p1@" in unquote(url) else None
        cloud.graph = directory

        answers = await find(people, *(f"p{number}@example.com" for number in range(3)))

        assert reasons(answers) == {
            "p0@example.com": "found",
            "p1@example.com": "lookup_failed",
            "p2@example.com": "found",
        }
        assert len(directory.batches) == 4  # together, alone, by mail, by name

    async def test_refused_filter_of_one(self, people: GraphPeople, cloud: Cloud) -> None:
        """An address whose filter Graph refuses is asked for in poorer words, which may find its owner."""
        directory = Directory(user(1), user(2, mail=None, userPrincipalName="ann@example.com"))
        directory.part = lambda url: {"status": 400, "body": {}} if "proxyAddresses" in url else None
        cloud.graph = directory

        answers = await find(people, "p1@example.com", "ann@example.com", "nobody@example.com")

        assert reasons(answers) == {
            "p1@example.com": "found",
            "ann@example.com": "found",
            "nobody@example.com": "person_not_found",
        }

    async def test_only_an_empty_answer_is_nobody(self, people: GraphPeople, cloud: Cloud) -> None:
        """Where the question about the mail was refused, no such name of sign-in leaves the question open."""
        directory = Directory()
        directory.part = lambda url: {"status": 400, "body": {}} if "$filter" in url else None
        cloud.graph = directory

        answer = (await find(people, "ann@example.com"))["ann@example.com"]

        assert isinstance(answer, LookupFailed)
        assert answer.fault.klass is FaultClass.NOT_SENT

    async def test_a_name_that_cannot_be(self, people: GraphPeople, cloud: Cloud) -> None:
        """Nobody has it as mail, and Graph refuses it as a name of sign-in: nobody has it."""
        directory = Directory()
        directory.part = lambda url: (
            {"status": 400, "body": {}} if "proxyAddresses" in url or "$filter" not in url else None
        )
        cloud.graph = directory

        assert reasons(await find(people, "a&b@example.com")) == {"a&b@example.com": "person_not_found"}

    async def test_an_odd_profile(self, people: GraphPeople, cloud: Cloud) -> None:
        """An id that cannot be stored is nobody's, and a name is stored without what no database takes."""
        cloud.graph = Directory(user(1, displayName="A\0da"), user(2, id="o\0"), user(3, id="o" * 256))

        answers = await find(people, *(f"p{number}@example.com" for number in (1, 2, 3)))

        ada = answers["p1@example.com"]
        assert isinstance(ada, Person)
        assert ada.name == "Ada"
        assert list(reasons(answers).values()) == ["found", "person_not_found", "person_not_found"]

    @pytest.mark.parametrize("status", [500, 503, 504])
    async def test_failing_parts(self, people: GraphPeople, cloud: Cloud, status: int) -> None:
        """A part that fails is asked again some times, then the question stays open."""
        directory = Directory()
        directory.part = lambda _url: {"status": status, "body": {}}
        cloud.graph = directory

        answer = (await find(people, "a@example.com"))["a@example.com"]

        assert isinstance(answer, LookupFailed)
        assert answer.fault.klass is FaultClass.NOT_SENT
        assert len(directory.batches) == 4

    @pytest.mark.parametrize("body", [b"<html>", b"{}", b'{"responses": 5}', b'{"responses": []}', b""])
    async def test_no_batch(self, people: GraphPeople, cloud: Cloud, body: bytes) -> None:
        """An answer that is no batch leaves every question of it open."""

        async def answer(_request: web.Request) -> web.StreamResponse:
            return web.Response(body=body, content_type="application/json")

        cloud.graph = answer
        answers = await find(people, *(f"p{number}@example.com" for number in range(70)))

        assert all(isinstance(found, LookupFailed) for found in answers.values())

    async def test_no_token(self, people: GraphPeople, cloud: Cloud) -> None:
        """Without a token for the tenant the lane is at fault."""

        async def refuse(_request: web.Request) -> web.StreamResponse:
            return web.json_response({"error": "unauthorized_client"}, status=400)

        cloud.token = refuse
        answer = (await find(people, "a@example.com"))["a@example.com"]

        assert isinstance(answer, LookupFailed)
        assert (answer.fault.klass, answer.fault.code) == (FaultClass.CONFIGURATION, "unauthorized_client")

    async def test_old_token(self, people: GraphPeople, cloud: Cloud) -> None:
        """P21: a token that has gone bad is replaced once, unnoticed."""
        directory = Directory(user(1))

        async def strict(request: web.Request) -> web.StreamResponse:
            if request.headers["Authorization"] == "Bearer token-1":
                return web.json_response({}, status=401)
            return await directory(request)

        cloud.graph = strict

        assert reasons(await find(people, "p1@example.com")) == {"p1@example.com": "found"}
        assert cloud.tokens_given == 2

    async def test_bad_credentials(self, people: GraphPeople, cloud: Cloud) -> None:
        """A Graph that rejects every token is a fault of the lane."""

        async def reject(_request: web.Request) -> web.StreamResponse:
            return web.json_response({}, status=401)

        cloud.graph = reject
        answer = (await find(people, "a@example.com"))["a@example.com"]

        assert isinstance(answer, LookupFailed)
        assert answer.fault.reason == "credentials_rejected"

    async def test_giving_up_midway(self, people: GraphPeople, cloud: Cloud) -> None:
        """Whoever stops listening leaves no call running."""
        cloud.graph = Directory(*(user(number) for number in range(300)))
        answers = people.find(BOT, TENANT, [f"p{number}@example.com" for number in range(300)], kit.FakeGate())

        first = await anext(answers)
        await answers.aclose()  # type: ignore[attr-defined]

        assert len(first) == 60
