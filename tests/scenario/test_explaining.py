"""Before anything is sent: how one person, or a whole audience, would be reached, and who must do what where not."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from sqlalchemy import text

from app import DATABASE
from simulator.teams.people import tenant_id
from tests.harness.herald import CATALOG_APP_ID, Herald, Json, bot, slack_side, teams_side, text_body
from tests.harness.platforms import (
    CHANNELS,
    DISABLED,
    GUEST,
    MSTEAMS,
    SLACK,
    WITHOUT_APP,
    Platforms,
    workspace_id,
)
from tests.scenario.conftest import Starting, Two

PEOPLE = 20

pytestmark = pytest.mark.parametrize("database_kind", ["sqlite"], indirect=True)


async def explain(herald: Herald, channel: str, identity: str, **more: Any) -> Json:
    """What the call says about one person."""
    return await ask(herald, "identities/explain", {"channel": channel, "identity": identity, **more})


async def dry_run(herald: Herald, channel: str, identities: list[str], **more: Any) -> Json:
    """What a send call would come to."""
    return await ask(herald, "notify?dryRun=true", text_body(channel, identities, **more))


async def ask(herald: Herald, path: str, body: Json) -> Json:
    where = f"{herald.url}/api/public/bot/{herald.bot}/{path}"
    async with herald.http.post(where, json=body, headers={"auth": herald.token}) as answer:
        found: Json = await answer.json()
        assert answer.status == 200, found
        return found


async def platform_calls(platforms: Platforms) -> int:
    rows = (await platforms.control("counters", method="GET"))["counters"]
    return sum(row["calls"] for row in rows if row["operation"] != "token")


def outcome(answer: Json) -> str:
    return str(answer["details"]["outcome"])


@pytest.fixture(name="herald")
async def _herald(herald: Herald, platforms: Platforms) -> Herald:
    """A Herald that knows where its apps are installed, and one person."""
    for channel in CHANNELS:
        await herald.deliver(channel, [platforms.emails(PEOPLE + 1)[-1]])
    return herald


class TestOnePerson:
    async def test_unknown(self, herald: Herald, platforms: Platforms, channel: str) -> None:
        """Somebody of whom nothing is stored is said to be not looked up, and nobody is asked."""
        before = await platforms.calls("graph") + await platforms.calls("slack", "users.lookupByEmail")
        answer = await explain(herald, channel, "somebody.new@contoso.example")

        assert outcome(answer) == "not_looked_up"
        assert await platforms.calls("graph") + await platforms.calls("slack", "users.lookupByEmail") == before

    async def test_looked_up(self, herald: Herald, platforms: Platforms, channel: str) -> None:
        """With lookUp the platform is asked through the lane, and the answer stays known."""
        person = platforms.emails(1)[0]
        asked = await explain(herald, channel, person, lookUp=True)
        known = await explain(herald, channel, person.upper())

        expected = "reachable" if channel == SLACK else "reachable_if_installed"
        assert outcome(asked) == outcome(known) == expected
        assert asked["channelId"] == known["channelId"]
        assert known["originalId"] == person.upper()
        assert await platforms.sends(channel) == 1
        if expected != "reachable":
            assert known["details"]["who"] == "admin"
            assert "let Herald install it" in known["details"]["remedy"]

    async def test_sent_to(self, herald: Herald, platforms: Platforms, channel: str) -> None:
        """Somebody who was sent to is reachable, and the trace says from which source and how old it is."""
        person = platforms.emails(1)[0]
        await herald.deliver(channel, [person])

        answer = await explain(herald, channel, person)

        assert outcome(answer) == "reachable"
        assert answer["comments"] == "Notification can be sent"
        ages = [step["age"] for step in answer["details"]["trace"] if "age" in step]
        assert all(age < 60 and age == round(age, 1) for age in ages)
        assert any(step["source"].startswith("directory") for step in answer["details"]["trace"])

    @pytest.mark.parametrize(
        ("number", "reason", "who"), [(GUEST, "guest_not_supported", "sender"), (DISABLED, "person_disabled", "sender")]
    )
    async def test_unreachable(self, herald: Herald, platforms: Platforms, number: int, reason: str, who: str) -> None:
        """Who cannot be reached is told with reason, remedy and who can act."""
        answer = await explain(herald, MSTEAMS, platforms.people()[number].email, lookUp=True)

        details = answer["details"]
        assert (details["outcome"], details["reason"], details["who"]) == ("unreachable", reason, who)
        assert details["remedy"]

    async def test_nobody(self, herald: Herald, channel: str) -> None:
        """An address that nobody has: Kore's comment, and the remedy."""
        answer = await explain(herald, channel, "nobody.at.all@contoso.example", lookUp=True)

        assert answer["comments"] == "'Identity is not associated with the channel'"
        assert answer["details"]["reason"] == "person_not_found"

    async def test_no_identity(self, herald: Herald, channel: str) -> None:
        """What can be nobody is said at once, with what is wrong with it."""
        answer = await explain(herald, channel, "Ann <ann@x.example>", lookUp=True)

        assert answer["details"]["reason"] == "identity_invalid"
        assert "display name" in answer["details"]["remedy"]

    async def test_by_id(self, herald: Herald, platforms: Platforms) -> None:
        """A channel user id is used as it is, and the answer says that nobody checked it."""
        user = await platforms.slack_user(platforms.emails(1)[0])
        answer = await explain(herald, SLACK, user["id"], userIdentityType="donotresolve")

        assert outcome(answer) == "reachable"
        assert answer["channelId"] == user["id"]
        assert "used as given" in answer["comments"]

    async def test_will_be_installed(self, platforms: Platforms, starting: Starting) -> None:
        """Where Herald may install the app it says that it will."""
        async with starting(platforms, bot(msteams=teams_side(catalog_app_id=CATALOG_APP_ID))) as herald:
            answer = await explain(herald, MSTEAMS, platforms.people()[WITHOUT_APP].email, lookUp=True)

        assert outcome(answer) == "will_be_installed"
        assert await platforms.calls("graph", "installed_apps") == 0

    async def test_platform_in_the_way(self, platforms: Platforms, starting: Starting) -> None:
        """A look-up that cannot be answered says what stood in the way."""
        token = "xoxb-without-email"
        await platforms.control("slack/installs", {"team": workspace_id(0), "scopes": ["chat:write"], "token": token})
        async with starting(platforms, bot(slack=slack_side(bot_token=token))) as herald:
            await herald.paused(await herald.notify(SLACK, platforms.emails(1)), "permission_missing")
            answer = await explain(herald, SLACK, platforms.emails(1)[0], lookUp=True)

        assert outcome(answer) == "not_looked_up"
        assert answer["details"]["reason"] == "permission_missing"
        assert "users:read" in answer["details"]["remedy"]

    async def test_no_installation(self, platforms: Platforms, starting: Starting) -> None:
        """Without any installation the answer says that the app must be installed first."""
        side = teams_side(app_type="MultiTenant")
        del side["tenant_id"]
        async with starting(platforms, bot(msteams=side)) as herald:
            answer = await explain(herald, MSTEAMS, platforms.emails(1)[0], lookUp=True)

        assert answer["details"]["reason"] == "installation_missing"


class TestSeveralTenants:
    async def test_found_in_theirs(self, two: Two, pair: Platforms, channel: str) -> None:
        """With lookUp the person is found in their tenant."""
        async with two(channel) as herald:
            answer = await explain(herald, channel, pair.emails(1, 1)[0], lookUp=True)

        second = tenant_id(1) if channel == MSTEAMS else workspace_id(1)
        assert outcome(answer) == "reachable"
        assert answer["details"]["tenant"] == second
        assert all(step.get("tenant") for step in answer["details"]["trace"] if "age" in step)

    async def test_pinned(self, two: Two, pair: Platforms, channel: str) -> None:
        """options.tenant looks nowhere else."""
        first = tenant_id(0) if channel == MSTEAMS else workspace_id(0)
        async with two(channel) as herald:
            person = pair.emails(1, 1)[0]
            answer = await explain(herald, channel, person, lookUp=True, options={"tenant": first})

        assert outcome(answer) == "unreachable"
        assert answer["details"]["reason"] == "person_not_found"


class TestAudience:
    async def test_mixed(self, herald: Herald, platforms: Platforms) -> None:
        """Each identity stands as it is stored: sent to, unknown, known to be nobody, invalid, a duplicate."""
        everybody = platforms.emails(PEOPLE)
        nobody = "nobody.at.all@contoso.example"
        await herald.deliver(MSTEAMS, [*everybody[:5], nobody])
        before = await platform_calls(platforms)

        audience = [*everybody, nobody, "Ann <ann@x.example>", everybody[0].upper()]
        record = await dry_run(herald, MSTEAMS, audience)

        found = Counter(entry["details"]["outcome"] for entry in record["statusLogs"])
        assert found == {"reachable": 6, "not_looked_up": 15, "unreachable": 2}
        assert record["details"]["outcomes"] == dict(found)
        assert record["statusLogs"][-1]["details"]["duplicateOf"] == "identities[0]"
        assert [entry["originalId"] for entry in record["statusLogs"]] == audience
        assert await platform_calls(platforms) == before

    async def test_nothing_happens(self, herald: Herald, platforms: Platforms, channel: str) -> None:
        """A dry run sends nothing and stores nothing."""
        record = await dry_run(herald, channel, platforms.emails(PEOPLE), text="Your payslip")

        assert record["details"]["sample"]["text"] == "Your payslip"
        assert await platforms.sends(channel) == 1
        assert herald.app is not None
        async with herald.app[DATABASE].read() as tx:
            assert (await tx.execute(text("SELECT count(*) FROM requests"))).scalar_one() == len(CHANNELS)

    async def test_estimate(self, platforms: Platforms, starting: Starting, channel: str) -> None:
        """The estimate is what the platform's pace allows: twenty known people at ten a second take two seconds."""
        pace = {"teams_requests_per_second": 10.0, "slack_posts_per_second": 10.0, "slack_burst": 1}
        async with starting(platforms, pace=pace) as herald:
            await herald.connect(platforms)
            await platforms.teams_setup_policy()
            await herald.deliver(channel, platforms.emails(PEOPLE))
            record = await dry_run(herald, channel, platforms.emails(PEOPLE))

        assert 1.5 < record["details"]["estimatedSeconds"] < 2.5
        assert record["details"]["estimatedCompletion"] > record["createdOn"]

    async def test_paused(self, platforms: Platforms, starting: Starting, channel: str) -> None:
        """A lane that waits for somebody is shown as in a status record, and nobody can say how long it will take."""
        person = platforms.emails(1)[0]
        wrong = bot(msteams=teams_side(app_password="wrong"), slack=slack_side(bot_token="xoxb-wrong"))
        body = {"userIdentityType": "donotresolve"}
        user = "29:nobody" if channel == MSTEAMS else "U0NOBODY"
        async with starting(platforms, wrong) as herald:
            request = await herald.accept(text_body(channel, [user], **body))
            paused = (await herald.until(request, lambda record: record["details"].get("paused")))["details"]["paused"]
            record = await dry_run(herald, channel, [user, "@"], **body)
            answer = await explain(herald, channel, user, **body)
            nobody = await explain(herald, channel, person, **body)

        assert record["details"]["paused"] == answer["details"]["paused"] == paused
        assert "estimatedSeconds" not in record["details"]
        assert "estimatedCompletion" not in record["details"]
        assert "paused" not in nobody["details"]

    async def test_not_installed_there(self, herald: Herald) -> None:
        """A tenant without the app is refused like in a send call."""
        body = text_body(MSTEAMS, ["ann@x.example"], options={"tenant": tenant_id(7)})
        where = f"{herald.url}/api/public/bot/{herald.bot}/notify?dryRun=true"
        async with herald.http.post(where, json=body, headers={"auth": herald.token}) as answer:
            assert answer.status == 412
            assert "options.tenant" in await answer.text()
