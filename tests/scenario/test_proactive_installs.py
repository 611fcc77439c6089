"""People without the Teams app: it is installed for them, in the cheapest order, and what forbids it is named."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from simulator.teams.apps import DEFAULT_APP_ID
from simulator.teams.people import tenant_id
from tests.harness.herald import CATALOG_APP_ID, Herald, Json, bot, teams_side
from tests.harness.oracle import lies, outcomes, reasons
from tests.harness.platforms import DISABLED, GUEST, MSTEAMS, WITHOUT_APP, Platforms
from tests.scenario.conftest import Starting

PEOPLE = 20
INSTALLING = teams_side(catalog_app_id=CATALOG_APP_ID)


@pytest.fixture(name="herald")
async def _herald(platforms: Platforms, starting: Starting) -> AsyncIterator[Herald]:
    """A Herald that may install the app; nobody has it."""
    async with starting(platforms, bot(msteams=INSTALLING)) as opened:
        await opened.connect(platforms, MSTEAMS)
        yield opened


def steps(record: Json, person: str, source: str) -> list[str]:
    """What the trace of one person says about one source."""
    (entry,) = [each for each in record["statusLogs"] if each["originalId"] == person]
    return [step["result"] for step in entry["details"]["trace"] if step["source"] == source]


async def installs(platforms: Platforms) -> int:
    return await platforms.calls("graph", "installed_apps")


async def creates(platforms: Platforms) -> int:
    return await platforms.calls("connector", "create")


class TestReached:
    async def test_never_seen(self, herald: Herald, platforms: Platforms) -> None:
        """C-30: people whom the bot has never seen get the app, and then the message; nobody is greeted."""
        people = platforms.emails(PEOPLE)

        record = await herald.deliver(MSTEAMS, people)

        assert reasons(record) == {}
        assert lies(record, await platforms.messages(MSTEAMS)) == []
        assert len(await platforms.messages(MSTEAMS)) == PEOPLE
        assert await installs(platforms) == PEOPLE
        assert all(steps(record, person, "install") == ["installed"] for person in people)

    async def test_event_saves_a_call(self, herald: Herald, platforms: Platforms) -> None:
        """The install event tells the conversation: after the first person nothing is created any more."""
        record = await herald.deliver(MSTEAMS, platforms.emails(PEOPLE))

        ends = [entry["details"]["trace"][-1]["result"] for entry in record["statusLogs"]]
        assert ends.count("told by the install event") == PEOPLE
        assert await creates(platforms) < PEOPLE

    async def test_without_events(self, platforms: Platforms, starting: Starting) -> None:
        """Without an event in time the conversation is created, and whoever has the app already costs no install."""
        people = platforms.emails(PEOPLE)
        await platforms.teams_install(people[: PEOPLE // 2], notify=False)
        async with starting(platforms, bot(msteams=INSTALLING)) as herald:
            first = await herald.deliver(MSTEAMS, people[: PEOPLE // 2])
            before = await installs(platforms)
            second = await herald.deliver(MSTEAMS, people[PEOPLE // 2 :])

        assert before == 0
        assert outcomes(first) == outcomes(second) == {"sent": PEOPLE // 2}
        assert steps(second, people[-1], "conversation")[-1] == "created"
        assert len(await platforms.messages(MSTEAMS)) == PEOPLE

    async def test_chat_is_shown(self, herald: Herald, platforms: Platforms) -> None:
        """Where creating is refused for somebody who has the app, Graph shows the chat."""
        people = platforms.emails(2)
        await platforms.teams_install(people, notify=False)
        await platforms.fault(platform="connector", operation="create", status=403, code="ForbiddenOperationException")

        record = await herald.deliver(MSTEAMS, people)

        assert outcomes(record) == {"sent": 2}
        assert [steps(record, person, "conversation")[-1] for person in people] == ["shown by Graph"] * 2
        assert lies(record, await platforms.messages(MSTEAMS)) == []

    async def test_removed_by_the_person(self, herald: Herald, platforms: Platforms) -> None:
        """Whoever removed the app, heard or unheard, gets it and the message again."""
        people = platforms.emails(4)
        await herald.deliver(MSTEAMS, people)
        await platforms.teams_install(people[:2], action="remove")
        await platforms.teams_install(people[2:], action="remove", notify=False)

        record = await herald.deliver(MSTEAMS, people, "again")

        assert outcomes(record) == {"sent": 4}
        assert await installs(platforms) == 8
        assert len(await platforms.messages(MSTEAMS)) == 8

    async def test_looks_into_the_catalog(self, platforms: Platforms, starting: Starting) -> None:
        """With install alone the app is found in the tenant's catalog, once."""
        await platforms.teams_app(DEFAULT_APP_ID, manifest_id=DEFAULT_APP_ID)
        async with starting(platforms, bot(msteams=teams_side(install=True))) as herald:
            await herald.connect(platforms, MSTEAMS)
            record = await herald.deliver(MSTEAMS, platforms.emails(PEOPLE))

        assert outcomes(record) == {"sent": PEOPLE}
        assert await platforms.calls("graph", "catalog") == 1

    async def test_uploaded_anew(self, platforms: Platforms, starting: Starting) -> None:
        """An app that was taken out of the catalog and uploaded anew is found under its new id at once."""
        await platforms.teams_app(DEFAULT_APP_ID, manifest_id=DEFAULT_APP_ID)
        async with starting(platforms, bot(msteams=teams_side(install=True))) as herald:
            await herald.connect(platforms, MSTEAMS)
            await herald.deliver(MSTEAMS, platforms.emails(1))
            await platforms.teams_app(DEFAULT_APP_ID, catalog_app_id="ca7a0000-0000-4000-8000-0000000000ff")
            record = await herald.final(await herald.notify(MSTEAMS, platforms.emails(4)), 15.0)

        assert outcomes(record) == {"sent": 4}
        assert await platforms.calls("graph", "catalog") == 2

    async def test_not_wanted(self, platforms: Platforms, starting: Starting) -> None:
        """With install = false nobody gets the app, whatever else is set."""
        side = teams_side(catalog_app_id=CATALOG_APP_ID, install=False)
        async with starting(platforms, bot(msteams=side)) as herald:
            record = await herald.deliver(MSTEAMS, platforms.emails(2))

        assert set(reasons(record).values()) == {"app_not_installed"}
        assert await installs(platforms) == 0


@pytest.mark.parametrize("database_kind", ["sqlite"], indirect=True)
class TestForbidden:
    async def test_policy(self, herald: Herald, platforms: Platforms) -> None:
        """A permission policy forbids it for one person: that one fails with the policy's name, the rest are sent."""
        people = platforms.emails(6)
        await platforms.teams_person(people[0], install_allowed=False)

        record = await herald.deliver(MSTEAMS, people)

        assert reasons(record) == {people[0]: "install_not_allowed"}
        (entry,) = [each for each in record["statusLogs"] if each["originalId"] == people[0]]
        assert "policy" in entry["details"]["remedy"]
        assert entry["details"]["code"] == "Forbidden"
        assert steps(record, people[0], "install") == ["install_not_allowed"]

    async def test_special_people(self, herald: Herald, platforms: Platforms) -> None:
        """Guests and disabled people are told apart without trying to install; who only lacks the app gets it."""
        everybody = platforms.emails(100)
        record = await herald.deliver(MSTEAMS, [everybody[index] for index in (GUEST, DISABLED, WITHOUT_APP)])

        assert reasons(record) == {everybody[GUEST]: "guest_not_supported", everybody[DISABLED]: "person_disabled"}
        assert await installs(platforms) == 1

    @pytest.mark.parametrize(
        ("change", "reason", "word"),
        [
            ({"graph_permissions": ["User.Read.All"]}, "permission_missing", "TeamsAppInstallation"),
            ({"in_catalog": False}, "app_not_in_catalog", "catalog"),
            ({"requires_consent": True}, "permission_missing", "ReadWriteAndConsentSelfForUser"),
        ],
        ids=["permission", "catalog", "consent"],
    )
    async def test_set_up_wrongly(
        self, herald: Herald, platforms: Platforms, change: dict[str, Any], reason: str, word: str
    ) -> None:
        """What an administrator must mend is shown, fails nobody, and holds nobody who has the app."""
        people = platforms.emails(6)
        await platforms.teams_install(people[:3])
        await herald.idle()
        await platforms.teams_app(DEFAULT_APP_ID, **change)

        request = await herald.notify(MSTEAMS, people)
        waiting = await herald.paused(request, reason)
        await platforms.arrived(MSTEAMS, 3)

        (shown,) = waiting["details"]["paused"]
        assert shown["tenant"] == tenant_id(0)
        assert word in shown["remedy"]
        record = await herald.until(request, lambda record: len(record["statusLogs"]) == 3)
        assert outcomes(record) == {"sent": 3}
        assert await installs(platforms) <= 3  # what is set up wrongly for one is so for everybody

    async def test_throttled(self, herald: Herald, platforms: Platforms) -> None:
        """A 429 of Graph holds the installs and nothing else, and costs nobody an attempt."""
        people = platforms.emails(6)
        await platforms.teams_install(people[:3])
        await herald.idle()
        storm = await platforms.fault(platform="graph", operation="installed_apps", status=429, retry_after="1")

        request = await herald.notify(MSTEAMS, people)
        await platforms.fired(storm)
        await platforms.arrived(MSTEAMS, 3)
        await platforms.heal(storm)
        record = await herald.final(request)

        assert outcomes(record) == {"sent": 6}
        assert {entry["details"]["attempts"] for entry in record["statusLogs"]} == {1}

    @pytest.mark.parametrize("fault", [{"status": 503}, {"drop": "before"}], ids=["503", "reset"])
    async def test_graph_is_down(self, herald: Herald, platforms: Platforms, fault: dict[str, Any]) -> None:
        """While Graph is down people with the app are reached, and the others as soon as it is back."""
        people = platforms.emails(6)
        await platforms.teams_install(people[:3])
        await herald.idle()
        down = await platforms.fault(platform="graph", operation="installed_apps", **fault)

        request = await herald.notify(MSTEAMS, people)
        await platforms.fired(down, 2)
        await platforms.arrived(MSTEAMS, 3)
        await platforms.heal(down)
        record = await herald.final(request)

        assert outcomes(record) == {"sent": 6}
        assert lies(record, await platforms.messages(MSTEAMS)) == []


@pytest.mark.parametrize("database_kind", ["sqlite"], indirect=True)
class TestOthers:
    """What stands in the way of one person's install holds and refuses nobody else."""

    async def test_missing_permission(self, platforms: Platforms, starting: Starting) -> None:
        """Unknown people who have the app by a setup policy are reached although somebody before them has it not."""
        people = platforms.emails(12)
        await platforms.teams_install(people[2:], notify=False)
        await platforms.teams_app(DEFAULT_APP_ID, graph_permissions=["User.Read.All"])
        async with starting(platforms, bot(msteams=INSTALLING), delivery={"deadline_hours": 5 / 3600}) as herald:
            record = await herald.deliver(MSTEAMS, people)

        assert outcomes(record) == {"sent": 10, "skipped": 2}
        assert reasons(record) == dict.fromkeys(people[:2], "permission_missing")

    async def test_policy(self, herald: Herald, platforms: Platforms) -> None:
        """Whoever has the app gets the message, even if a policy forbids to install it now."""
        people = platforms.emails(8)
        await platforms.teams_install(people[4:], notify=False)
        for person in people[6:]:
            await platforms.teams_person(person, install_allowed=False)

        record = await herald.deliver(MSTEAMS, people)

        assert reasons(record) == {}

    @pytest.mark.parametrize("permissions", [True, False], ids=["catalog", "no-catalog"])
    async def test_not_found_for_one(self, herald: Herald, platforms: Platforms, permissions: bool) -> None:
        """A 404 for one person is theirs alone, whether or not the catalog may be read."""
        people = platforms.emails(6)
        if not permissions:
            roles = ["User.Read.All", "TeamsAppInstallation.ReadWriteSelfForUser.All"]
            await platforms.teams_app(DEFAULT_APP_ID, graph_permissions=roles)
        odd = people[0]
        fault = {"operation": "installed_apps", "person": odd, "status": 404, "code": "NotFound"}
        await platforms.fault(platform="graph", **fault)

        request = await herald.notify(MSTEAMS, people)
        record = await herald.until(request, lambda record: outcomes(record).get("sent") == 5)

        assert [lane["reason"] for lane in record.get("details", {}).get("paused", [])] == []

    async def test_not_found_where_looked_up(self, platforms: Platforms, starting: Starting) -> None:
        """An app that the catalog still shows under the same id is refused for the one person who gets a 404."""
        await platforms.teams_app(DEFAULT_APP_ID, manifest_id=DEFAULT_APP_ID)
        people = platforms.emails(6)
        fault = {"operation": "installed_apps", "person": people[0], "status": 404, "code": "NotFound"}
        await platforms.fault(platform="graph", **fault)
        async with starting(platforms, bot(msteams=teams_side(install=True))) as herald:
            await herald.connect(platforms, MSTEAMS)
            record = await herald.deliver(MSTEAMS, people)

        assert reasons(record) == {people[0]: "install_not_allowed"}
        assert await platforms.calls("graph", "catalog") == 2

    async def test_taken_out(self, platforms: Platforms, starting: Starting) -> None:
        """An app that was taken out of the catalog is missing for everybody, and the catalog is asked once for all."""
        await platforms.teams_app(DEFAULT_APP_ID, manifest_id=DEFAULT_APP_ID)
        async with starting(platforms, bot(msteams=teams_side(install=True))) as herald:
            await herald.connect(platforms, MSTEAMS)
            await herald.deliver(MSTEAMS, platforms.emails(1))
            await platforms.teams_app(DEFAULT_APP_ID, in_catalog=False)
            request = await herald.notify(MSTEAMS, platforms.emails(4))
            waiting = await herald.paused(request, "app_not_in_catalog")

        assert outcomes(waiting).keys() <= {"sent"}
        assert await platforms.calls("graph", "catalog") == 2

    @pytest.mark.parametrize(
        "answer",
        [
            {"status": 400, "code": "BadRequest"},
            {"status": 400, "body": "<html>400</html>", "content_type": "text/html"},
            {"status": 404, "code": "Request_ResourceNotFound"},
            {"status": 408},
        ],
        ids=["400", "html", "404", "408"],
    )
    async def test_odd_catalog(self, platforms: Platforms, starting: Starting, answer: dict[str, Any]) -> None:
        """Whatever the catalog answers refuses nobody: all are sent when it speaks again."""
        await platforms.teams_app(DEFAULT_APP_ID, manifest_id=DEFAULT_APP_ID)
        odd = await platforms.fault(platform="graph", operation="catalog", times=1, **answer)
        async with starting(platforms, bot(msteams=teams_side(install=True))) as herald:
            await herald.connect(platforms, MSTEAMS)
            request = await herald.notify(MSTEAMS, platforms.emails(4))
            await platforms.fired(odd)
            record = await herald.final(request)

        assert outcomes(record) == {"sent": 4}

    @pytest.mark.parametrize("status", [400, 408, 423])
    async def test_passing_answers(self, herald: Herald, platforms: Platforms, status: int) -> None:
        """A proxy's page and what passes by itself refuse nobody."""
        page = {"body": "<html>wait</html>", "content_type": "text/html"} if status == 400 else {}
        odd = await platforms.fault(platform="graph", operation="installed_apps", status=status, times=1, **page)
        request = await herald.notify(MSTEAMS, platforms.emails(4))
        await platforms.fired(odd)

        assert outcomes(await herald.final(request)) == {"sent": 4}

    async def test_past_the_deadline(self, platforms: Platforms, starting: Starting) -> None:
        """Nothing is installed for a delivery that has ended."""
        pace = {"teams_installs_per_second": 2.0}
        late = {"delivery": {"deadline_hours": 2 / 3600}, "server": {"claim_seconds": 1.0}, "pace": pace}
        async with starting(platforms, bot(msteams=INSTALLING), **late) as herald:
            await herald.connect(platforms, MSTEAMS)
            record = await herald.deliver(MSTEAMS, platforms.emails(40))
            done = await installs(platforms)
            another = await herald.deliver(MSTEAMS, platforms.emails(1), "later")  # the lane has gone on

        assert outcomes(record)["skipped"] > 20
        assert outcomes(another) == {"sent": 1}
        assert await installs(platforms) <= done + 2
