"""The app comes, goes and comes back while requests run: lanes pause visibly, and nobody fails for it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from app import DATABASE
from simulator.teams.apps import DEFAULT_APP_ID
from simulator.teams.people import tenant_id
from storage import lanes
from tests.harness.herald import Herald, Json, bot, pauses, slack_oauth
from tests.harness.oracle import lies, outcomes, reasons
from tests.harness.platforms import CHANNELS, MSTEAMS, SLACK, Platforms, simulated, workspace_id
from tests.scenario.conftest import Starting, Two

PEOPLE = 20


async def held(herald: Herald, platforms: Platforms, channel: str, people: list[str], **fault: Any) -> tuple[str, str]:
    """A request whose sends are all throttled until the fault is healed: request and fault."""
    storm = await platforms.send_fault(channel, status=429, retry_after="0.5", **fault)
    request = await herald.notify(channel, people)
    await platforms.fired(storm)
    return request, storm


class TestSlackByOauth:
    async def test_install(self, platforms: Platforms, starting: Starting) -> None:
        """A workspace that installs the app by OAuth is sent to, and the page says that it worked."""
        async with starting(platforms, bot(slack=slack_oauth())) as herald:
            page = await herald.install_slack(platforms, team=workspace_id(0))
            record = await herald.deliver(SLACK, platforms.emails(PEOPLE))

        assert "The app is installed" in page
        assert reasons(record) == {}
        assert lies(record, await platforms.messages(SLACK)) == []

    async def test_before_install(self, platforms: Platforms, starting: Starting) -> None:
        """A request that comes before the first install waits visibly, and goes out with the install."""
        people = platforms.emails(PEOPLE)
        async with starting(platforms, bot(slack=slack_oauth())) as herald:
            request = await herald.notify(SLACK, people)
            waiting = await herald.paused(request, "installation_missing")
            await herald.install_slack(platforms, team=workspace_id(0))
            record = await herald.final(request)

        assert waiting["statusLogs"] == []
        assert "Install the app" in pauses(waiting)["installation_missing"]["remedy"]
        assert outcomes(record) == {"sent": PEOPLE}
        assert lies(record, await platforms.messages(SLACK)) == []

    async def test_org_wide(self, starting: Starting) -> None:
        """One install for an Enterprise org reaches the people of every workspace that was granted."""
        async with (
            simulated(workspaces=3, enterprise=True, people=10) as org,
            starting(org, bot(slack=slack_oauth())) as herald,
        ):
            await herald.install_slack(org, enterprise="E0SIMORG0")
            people = [email for number in range(3) for email in org.emails(10, number)]

            record = await herald.deliver(SLACK, people)

            assert reasons(record) == {}
            messages = await org.messages(SLACK)
            assert lies(record, messages) == []
            assert {message["tenant"] for message in messages} == {workspace_id(number) for number in range(3)}

    @pytest.mark.parametrize("order", [["tokens_revoked", "app_uninstalled"], ["app_uninstalled", "tokens_revoked"]])
    async def test_uninstalled(self, platforms: Platforms, starting: Starting, order: list[str]) -> None:
        """P25, P27, P30: an uninstall mid-request, its events in either order, holds the lane until it is undone."""
        people = platforms.emails(PEOPLE)
        async with starting(platforms, bot(slack=slack_oauth())) as herald:
            await herald.install_slack(platforms, team=workspace_id(0))
            await herald.connect(platforms, SLACK)
            request, storm = await held(herald, platforms, SLACK, people)
            await platforms.control("slack/uninstall", {"team": workspace_id(0), "order": order, "wait": True})
            await platforms.heal(storm)
            waiting = await herald.paused(request, "installation_revoked")
            await herald.install_slack(platforms, team=workspace_id(0))
            record = await herald.final(request)

        assert "FAILURE" not in {entry["status"] for entry in waiting["statusLogs"]}
        assert outcomes(record) == {"sent": PEOPLE}
        assert {entry["details"]["attempts"] for entry in record["statusLogs"]} == {1}
        assert lies(record, await platforms.messages(SLACK)) == []

    async def test_revoked_unheard(self, platforms: Platforms, starting: Starting) -> None:
        """P27: a token that was revoked without our hearing of it holds the lane as well."""
        people = platforms.emails(PEOPLE)
        async with starting(platforms, bot(slack=slack_oauth())) as herald:
            await herald.install_slack(platforms, team=workspace_id(0))
            request, storm = await held(herald, platforms, SLACK, people)
            await platforms.control("slack/revoke", {"team": workspace_id(0)})
            await platforms.heal(storm)
            waiting = await herald.paused(request, "installation_revoked")
            await herald.install_slack(platforms, team=workspace_id(0))
            record = await herald.final(request)

        assert waiting["statusLogs"] == []
        assert outcomes(record) == {"sent": PEOPLE}
        assert lies(record, await platforms.messages(SLACK)) == []


class TestTeams:
    async def test_removed(self, herald: Herald, platforms: Platforms) -> None:
        """P25: whoever removes the app mid-request fails with that reason, and everybody else gets the message."""
        people = platforms.emails(PEOPLE)
        await platforms.teams_install(people)
        await herald.idle()
        request, storm = await held(herald, platforms, MSTEAMS, people)
        await platforms.teams_install(people[3:5], action="remove")
        await platforms.heal(storm)

        record = await herald.final(request)

        assert reasons(record) == dict.fromkeys(people[3:5], "app_not_installed")
        assert lies(record, await platforms.messages(MSTEAMS)) == []

    async def test_removed_and_back(self, herald: Herald, platforms: Platforms) -> None:
        """Whoever removed the app is not written to, and is again after the next install."""
        people = platforms.emails(3)
        await platforms.teams_install(people)
        await herald.idle()
        await platforms.teams_install(people[:1], action="remove")
        without = await herald.deliver(MSTEAMS, people, "Without")
        tried = await platforms.sends(MSTEAMS)
        await platforms.teams_install(people[:1])
        await herald.idle()

        record = await herald.deliver(MSTEAMS, people, "With")

        assert reasons(without) == {people[0]: "app_not_installed"}
        assert tried == 2
        assert reasons(record) == {}
        assert lies(record, await platforms.messages(MSTEAMS), text="With") == []

    async def test_disabled_by_admin(self, herald: Herald, platforms: Platforms) -> None:
        """P26: a bot that an administrator disables holds its lane with that reason, and goes on when allowed again."""
        people = platforms.emails(PEOPLE)
        await platforms.teams_install(people[: PEOPLE // 2])  # with the others a conversation is yet to be created
        await herald.idle()
        await platforms.teams_app(DEFAULT_APP_ID, disabled_in=[tenant_id(0)])
        request = await herald.notify(MSTEAMS, people)
        waiting = await herald.paused(request, "bot_disabled")
        codes = await pause_codes(herald)
        await platforms.teams_app(DEFAULT_APP_ID, disabled_in=[])

        record = await herald.final(request)

        assert waiting["statusLogs"] == []
        assert codes == {"BotDisabledByAdmin"}
        assert "administrator" in pauses(waiting)["bot_disabled"]["remedy"]
        assert outcomes(record) == {"sent": PEOPLE}
        assert {entry["details"]["attempts"] for entry in record["statusLogs"]} == {1}
        assert lies(record, await platforms.messages(MSTEAMS)) == []

    async def test_events_twice(self, herald: Herald, platforms: Platforms) -> None:
        """P29: an install event that comes many times asks once for the person, who gets one message."""
        [person] = platforms.emails(1)
        await platforms.teams_install([person])
        await herald.idle()
        asked = await platforms.calls("connector", "member")
        event = await install_event(platforms, person, "add", "2026-01-23T01:02:03.456Z")
        event["activity"]["id"] = "f:the-same"
        answers = [await platforms.control("teams/activities", event) for _ in range(3)]
        await herald.idle()

        record = await herald.deliver(MSTEAMS, [person])

        assert [answer["status"] for answer in answers] == [200] * 3
        assert await platforms.calls("connector", "member") <= asked + 1
        assert lies(record, await platforms.messages(MSTEAMS)) == []

    async def test_out_of_order(self, herald: Herald, platforms: Platforms) -> None:
        """P30: an install that arrives after the uninstall that followed it does not bring the person back."""
        [person, other] = platforms.emails(2)
        await platforms.teams_install([other])
        for action, minute in (("remove", "05"), ("add", "02")):
            event = await install_event(platforms, person, action, f"2026-01-23T01:{minute}:00.000Z")
            await platforms.control("teams/activities", event)
        await platforms.control("teams/installs", {"person": person, "action": "remove", "notify": False})
        await herald.idle()

        record = await herald.deliver(MSTEAMS, [person, other])

        assert reasons(record) == {person: "app_not_installed"}
        assert await platforms.sends(MSTEAMS) == 1

    async def test_stale_conversation(self, herald: Herald, platforms: Platforms) -> None:
        """P23: a conversation that is gone is created again, once, and the message arrives in the new one."""
        people = platforms.emails(3)
        await platforms.teams_install(people)
        await herald.idle()
        await platforms.control("teams/conversations/forget", {"person": people[1]})
        before = await platforms.calls("connector", "create")

        record = await herald.deliver(MSTEAMS, people)

        assert reasons(record) == {}
        assert await platforms.calls("connector", "create") == before + 1
        assert lies(record, await platforms.messages(MSTEAMS)) == []


class TestSlack:
    async def test_messages_tab(self, herald: Herald, platforms: Platforms) -> None:
        """P26: an app whose Messages tab is off holds its lane with that reason, and goes on when it is on again."""
        people = platforms.emails(PEOPLE)
        await platforms.control("slack/apps/A0SIMAPP0", {"messages_tab_enabled": False}, "PATCH")
        request = await herald.notify(SLACK, people)
        waiting = await herald.paused(request, "messages_tab_disabled")
        await platforms.control("slack/apps/A0SIMAPP0", {"messages_tab_enabled": True}, "PATCH")

        record = await herald.final(request)

        assert waiting["statusLogs"] == []
        assert outcomes(record) == {"sent": PEOPLE}
        assert lies(record, await platforms.messages(SLACK)) == []

    async def test_disabled_by_admin(self, herald: Herald, platforms: Platforms) -> None:
        """P26: an app that was disabled holds its lane with that reason, and goes on when it is allowed again."""
        people = platforms.emails(PEOPLE)
        await herald.deliver(SLACK, people[:5], "Before")  # the others are yet to be found
        trouble = await platforms.fault(platform="slack", status=200, code="account_inactive")
        request = await herald.notify(SLACK, people, "After")
        waiting = await herald.paused(request, "installation_revoked")
        codes = await pause_codes(herald)
        await platforms.heal(trouble)

        record = await herald.final(request)

        assert waiting["statusLogs"] == []
        assert codes == {"account_inactive"}
        assert outcomes(record) == {"sent": PEOPLE}
        assert {entry["details"]["attempts"] for entry in record["statusLogs"]} == {1}
        assert lies(record, await platforms.messages(SLACK), text="After") == []

    async def test_restricted_by_policy(self, herald: Herald, platforms: Platforms) -> None:
        """P26: whom an administrator's policy keeps the app from fails with Slack's code; the others are reached."""
        codes = ("app_access_restricted", "access_denied", "restricted_action")
        people = platforms.emails(PEOPLE)
        for person, code in zip(people, codes, strict=False):
            await platforms.send_fault(SLACK, person=person, status=200, code=code)

        record = await herald.deliver(SLACK, people)

        failed = {
            entry["originalId"]: entry["details"] for entry in record["statusLogs"] if entry["status"] == "FAILURE"
        }
        assert reasons(record) == dict.fromkeys(people[:3], "not_permitted")
        assert tuple(failed[person]["code"] for person in people[:3]) == codes
        assert lies(record, await platforms.messages(SLACK)) == []

    async def test_stale_conversation(self, herald: Herald, platforms: Platforms) -> None:
        """P28: a direct message whose id went stale is opened again."""
        people = platforms.emails(3)
        await herald.deliver(SLACK, people, "First")
        for message in await platforms.messages(SLACK):
            await platforms.control("slack/forget_conversation", {"channel": message["conversation"]})

        record = await herald.deliver(SLACK, people, "Second")

        assert reasons(record) == {}
        assert lies(record, await platforms.messages(SLACK), text="Second") == []

    async def test_events_twice(self, herald: Herald, platforms: Platforms) -> None:
        """P29: an event that Slack sends three times is taken three times and counts once."""
        person = platforms.emails(1)[0]
        await herald.deliver(SLACK, [person], "First")
        sent = await platforms.slack_event("user_change", user=person, copies=3, event_id="Ev0THESAME")

        record = await herald.deliver(SLACK, [person], "Second")

        assert len(sent) == 3
        assert lies(record, await platforms.messages(SLACK), text="Second") == []


class TestTwoTenants:
    async def test_placed(self, pair: Platforms, two: Two, channel: str) -> None:
        """With two tenants everybody is found in their own, and what nobody has fails once all were asked."""
        people = [*pair.emails(15), *pair.emails(15, 1)]
        async with two(channel) as herald:
            record = await herald.deliver(channel, [*people, "nobody@nowhere.example"])

        messages = await pair.messages(channel)
        assert reasons(record) == {"nobody@nowhere.example": "person_not_found"}
        assert lies(record, messages) == []
        assert len({message["tenant"] for message in messages}) == 2

    async def test_one_at_fault(self, pair: Platforms, two: Two, channel: str) -> None:
        """F02, P26: a tenant whose app is at fault holds its own people only."""
        ours, theirs = pair.emails(10), pair.emails(10, 1)
        async with two(channel) as herald:
            place = tenant_id(0) if channel == MSTEAMS else workspace_id(0)
            fault: Json = {"status": 403, "code": "BotDisabledByAdmin"}
            if channel == SLACK:
                fault = {"status": 200, "code": "messages_tab_disabled"}
            trouble = await pair.send_fault(channel, tenant=place, **fault)
            request = await herald.notify(channel, [*ours, *theirs])
            reason = "bot_disabled" if channel == MSTEAMS else "messages_tab_disabled"
            waiting = await herald.until(
                request, lambda record: reason in pauses(record) and len(record["statusLogs"]) >= len(theirs)
            )
            await pair.heal(trouble)
            record = await herald.final(request)

        assert {entry["originalId"] for entry in waiting["statusLogs"]} == set(theirs)
        assert pauses(waiting)[reason]["tenant"] == place
        assert outcomes(record) == {"sent": 20}
        assert lies(record, await pair.messages(channel)) == []

    async def test_both_run(self, pair: Platforms, two: Two, channel: str) -> None:
        """Requests to two tenants at once each end with the truth."""
        async with two(channel) as herald:
            first, second = await asyncio.gather(
                herald.deliver(channel, pair.emails(18), "For us"),
                herald.deliver(channel, pair.emails(18, 1), "For them"),
            )

        messages = await pair.messages(channel)
        assert lies(first, messages, text="For us") == []
        assert lies(second, messages, text="For them") == []


async def pause_codes(herald: Herald) -> set[str]:
    """The platform's own codes with which lanes are held now."""
    assert herald.app is not None
    async with herald.app[DATABASE].read() as tx:
        held = [await lanes.paused(tx, bot_id=herald.bot, channel=channel) for channel in CHANNELS]
    return {pause.code for each in held for pause in each.values()}


async def install_event(platforms: Platforms, person: str, action: str, moment: str) -> Json:
    """A genuine installation event of a chosen moment."""
    chat = await platforms.teams_chat(person)
    member = {"id": chat["user_id"], "aadObjectId": chat["aad_object_id"]}
    activity = {"type": "installationUpdate", "action": action, "timestamp": moment, "text": None, "from": member}
    return {"person": person, "activity": activity}
