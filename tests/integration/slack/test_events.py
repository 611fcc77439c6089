"""What Slack's events do to our stores, on both databases (P24, P25, P27, P29, P30)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from adapters.base import ChannelName, Lane, TenantId
from storage import chores, directory, inbox, installations, references
from storage.directory import KnownPerson
from tests.integration.slack.kit import BOT, ORG, TEAM, SlackSide, serving_side, user

SLACK = ChannelName.SLACK
REVOKED = {"oauth": [], "bot": ["U0BOT"]}
OPENED = {"type": "app_home_opened", "user": "U1", "channel": "D1", "tab": "messages"}


@pytest.fixture(name="url")
async def served_url(side: SlackSide) -> AsyncIterator[str]:
    await side.install()
    async with serving_side(side) as url:
        yield url


async def known(side: SlackSide, email: str, tenant: str = TEAM) -> list[KnownPerson]:
    async with side.database.read() as tx:
        return await directory.lookup(tx, bot_id=BOT, channel=SLACK, tenant_id=tenant, addresses=[email])


async def conversation(side: SlackSide, person: str, tenant: str = TEAM) -> str | None:
    async with side.database.read() as tx:
        found = await references.find(tx, bot_id=BOT, channel=SLACK, tenant_id=tenant, persons=[person])
    return found[person][0].conversation_id if person in found else None


async def row(side: SlackSide, tenant: str = TEAM) -> installations.Installation | None:
    async with side.database.read() as tx:
        return await installations.get(tx, bot_id=BOT, channel=SLACK, tenant_id=tenant)


async def asked(side: SlackSide, tenant: str) -> list[tuple[str, str]]:
    async with side.database.read() as tx:
        rows = await chores.due(tx, bot_id=BOT, channel=SLACK, tenant_id=tenant, now=side.clock() + 1, limit=10)
    return [(each.kind, each.key) for each in rows]


class TestReferences:
    """How to reach a person is learnt from what they do."""

    async def test_opening_the_app_captures_the_conversation(self, side: SlackSide, url: str) -> None:
        """app_home_opened names the person and the D… id."""
        assert await side.deliver(url, OPENED) == 200
        assert await conversation(side, "U1") == "D1"

    async def test_an_older_event_does_not_overwrite(self, side: SlackSide, url: str) -> None:
        """Late events lose against newer ones."""
        await side.deliver(url, {**OPENED, "channel": "D2"}, event_id="Ev2", event_time=2000)
        await side.deliver(url, {**OPENED, "channel": "D1"}, event_id="Ev1", event_time=1000)

        assert await conversation(side, "U1") == "D2"

    async def test_a_reply_is_evidence_for_the_message_it_answers(self, side: SlackSide, url: str) -> None:
        """message.im in a thread names the message; outside it only the conversation."""
        message = {"type": "message", "channel_type": "im", "user": "U1", "channel": "D1", "text": "ok", "ts": "9.1"}

        await side.deliver(url, {**message, "thread_ts": "5.5", "parent_user_id": "U0BOT"}, event_id="Ev1")
        await side.deliver(url, message, event_id="Ev2")
        shown_too = {"subtype": "thread_broadcast", "thread_ts": "5.6", "root": {"user": "U0BOT", "ts": "5.6"}}
        await side.deliver(url, {**message, **shown_too}, event_id="Ev3")

        assert [(each.kind, each.message_id) for each in side.evidence] == [
            ("reply", "5.5"),
            ("reply", None),
            ("reply", "5.6"),
        ]
        assert await conversation(side, "U1") == "D1"

    @pytest.mark.parametrize(
        "more",
        [
            {"bot_id": "B1"},
            {"subtype": "message_changed"},
            {"subtype": "bot_message"},
            {"channel_type": "channel"},
            {"user": "U0BOT"},
            {"user": None},
        ],
    )
    async def test_what_no_person_wrote_is_no_evidence(self, side: SlackSide, url: str, more: dict[str, Any]) -> None:
        """Our own messages, edits and other bots prove nothing."""
        message = {"type": "message", "channel_type": "im", "user": "U1", "channel": "D1", "text": "ok", "ts": "9.1"}

        assert await side.deliver(url, {**message, **more}) == 200
        assert side.evidence == []

    async def test_a_reaction_is_evidence(self, side: SlackSide, url: str) -> None:
        """reaction_added in a direct message names the message."""
        item = {"type": "message", "channel": "D1", "ts": "5.5"}

        event = {"type": "reaction_added", "user": "U1", "item_user": "U0BOT", "item": item, "reaction": "tada"}
        await side.deliver(url, event)

        assert [(each.kind, each.message_id) for each in side.evidence] == [("reaction", "5.5")]

    @pytest.mark.parametrize("author", ["U1", "U0ELSE", None, 7])
    async def test_what_is_done_to_other_messages_proves_nothing(
        self, side: SlackSide, url: str, author: object
    ) -> None:
        """A reaction or an answer to a message that we did not write, or nobody names, is about no delivery."""
        item = {"type": "message", "channel": "D1", "ts": "5.5"}
        reaction = {"type": "reaction_added", "user": "U1", "item_user": author, "item": item, "reaction": "tada"}
        message = {"type": "message", "channel_type": "im", "user": "U1", "channel": "D1", "text": "ok", "ts": "9.1"}

        await side.deliver(url, reaction, event_id="Ev1")
        await side.deliver(url, {**message, "thread_ts": "5.5", "parent_user_id": author}, event_id="Ev2")

        assert [(each.kind, each.message_id) for each in side.evidence] == [("reply", None)]

    async def test_who_we_are_is_told_by_the_org(self, side: SlackSide, url: str) -> None:
        """In a workspace that an org serves, our messages are the org's bot user's; without a name nothing is ours."""
        item = {"type": "message", "channel": "D1", "ts": "5.5"}
        event = {"type": "reaction_added", "user": "U1", "item_user": "U0ORG", "item": item, "reaction": "tada"}
        await side.install(None, "xoxb-org", ORG, bot_user_id="U0ORG")
        async with side.database.write() as tx:
            await side.installations.grant_access(tx, BOT, ORG, [("T0A", "")], 1.0)
        await side.install("T0NAMELESS", "xoxb-2", bot_user_id=None)

        await side.deliver(url, event, event_id="Ev1", team="T0A", enterprise=ORG)
        await side.deliver(url, {**event, "item_user": None}, event_id="Ev2", team="T0NAMELESS")

        assert [(each.tenant, each.message_id) for each in side.evidence] == [("T0A", "5.5")]

    async def test_events_of_strangers_teams_change_nothing(self, side: SlackSide, url: str) -> None:
        """A workspace without installation has no references."""
        assert await side.deliver(url, OPENED, team="T0ELSE") == 200
        assert await conversation(side, "U1", "T0ELSE") is None

    async def test_the_authorization_decides_not_the_outer_team(self, side: SlackSide, url: str) -> None:
        """Slack Connect: the outer team may be another organisation's."""
        authorization = {"team_id": TEAM, "enterprise_id": None, "is_bot": True, "is_enterprise_install": False}

        await side.deliver(url, OPENED, team="T0ELSE", authorizations=[authorization])

        assert await conversation(side, "U1") == "D1"


class TestPeople:
    """P24: the directory follows the workspace without a call."""

    async def test_a_new_person_is_known_at_once(self, side: SlackSide, url: str) -> None:
        """team_join."""
        await side.deliver(url, {"type": "team_join", "user": user("U1", "Ann@Example.COM")})

        [person] = await known(side, "ann@example.com")
        assert (person.user_id, person.name, person.kind, person.disabled) == ("U1", "Name U1", "member", False)

    async def test_a_new_address_replaces_the_old(self, side: SlackSide, url: str) -> None:
        """user_change with another e-mail: the old one leads nowhere."""
        await side.deliver(url, {"type": "team_join", "user": user("U1", "old@example.com")}, event_id="Ev1")
        side.clock.now += 10
        await side.deliver(url, {"type": "user_change", "user": user("U1", "new@example.com")}, event_id="Ev2")

        assert await known(side, "old@example.com") == []
        assert [each.user_id for each in await known(side, "new@example.com")] == ["U1"]

    async def test_a_rename_is_learnt(self, side: SlackSide, url: str) -> None:
        """The name shown follows."""
        await side.deliver(url, {"type": "team_join", "user": user("U1", "a@example.com")}, event_id="Ev1")
        renamed = user("U1", "a@example.com", real_name="Ann Married")
        await side.deliver(url, {"type": "user_profile_changed", "user": renamed}, event_id="Ev2")

        [person] = await known(side, "a@example.com")
        assert person.name == "Ann Married"

    @pytest.mark.parametrize("email", ["a@example.com", None])
    async def test_leaving_and_coming_back(self, side: SlackSide, url: str, email: str | None) -> None:
        """`deleted` comes and goes, with or without the address in the event."""
        await side.deliver(url, {"type": "team_join", "user": user("U1", "a@example.com")}, event_id="Ev1")
        await side.deliver(url, {"type": "user_change", "user": user("U1", email, deleted=True)}, event_id="Ev2")
        gone = await known(side, "a@example.com")
        await side.deliver(url, {"type": "user_change", "user": user("U1", email)}, event_id="Ev3")
        back = await known(side, "a@example.com")

        assert ([each.disabled for each in gone], [each.disabled for each in back]) == ([True], [False])

    @pytest.mark.parametrize(
        "stranger",
        [
            user("U1", "a@example.com", team="T0ELSE"),
            user("U1", "a@example.com", is_stranger=True),
            user("U1", "a@example.com", is_bot=True),
            user("USLACKBOT", "a@example.com"),
            user("", "a@example.com"),
            {"id": 7},
            "U1",
            None,
        ],
    )
    async def test_only_people_of_the_workspace_count(self, side: SlackSide, url: str, stranger: object) -> None:
        """S19: whoever is of another organisation chooses their own address, and is not believed."""
        assert await side.deliver(url, {"type": "user_change", "user": stranger}) == 200
        assert await known(side, "a@example.com") == []

    async def test_a_guest_is_a_person(self, side: SlackSide, url: str) -> None:
        """Guests are kept, and known to be guests."""
        await side.deliver(url, {"type": "team_join", "user": user("U1", "g@example.com", is_ultra_restricted=True)})

        assert [each.kind for each in await known(side, "g@example.com")] == ["guest"]

    async def test_an_org_wide_event_reaches_each_workspace_of_the_person(self, side: SlackSide, url: str) -> None:
        """With an org install a person may be in several of our workspaces."""
        await side.install(None, "xoxb-org", ORG)
        async with side.database.write() as tx:
            await side.installations.grant_access(tx, BOT, ORG, [("T0A", ""), ("T0B", ""), ("T0C", "")], 1.0)
        person = user("W1", "w@example.com", team="T0A")
        person["enterprise_user"] = {"id": "W1", "enterprise_id": ORG, "teams": ["T0A", "T0B"]}

        await side.deliver(url, {"type": "user_change", "user": person}, team=None, enterprise=ORG, org_wide=True)

        found = [len(await known(side, "w@example.com", tenant)) for tenant in ("T0A", "T0B", "T0C", TEAM)]
        assert found == [1, 1, 0, 0]


class TestOnce:
    """P29: an event has its effect once, or Slack is asked to repeat it."""

    async def test_a_repetition_has_no_second_effect(self, side: SlackSide, url: str) -> None:
        """The same event_id again is acknowledged and ignored."""
        await side.deliver(url, {"type": "team_join", "user": user("U1", "a@example.com")})
        again = await side.deliver(url, {"type": "team_join", "user": user("U1", "other@example.com")})

        assert again == 200
        assert await known(side, "other@example.com") == []

    async def test_a_failed_effect_is_a_500_and_the_repetition_works(self, side: SlackSide, url: str) -> None:
        """Id and effect are one transaction: Slack's retry is not taken for a duplicate."""
        event = {"type": "team_join", "user": user("U1", "a@example.com")}
        async with side.database.write() as tx:
            await tx.exec_driver_sql("ALTER TABLE people RENAME TO hidden")
        failed = await side.deliver(url, event)
        async with side.database.write() as tx:
            await tx.exec_driver_sql("ALTER TABLE hidden RENAME TO people")
        again = await side.deliver(url, event)

        assert (failed, again) == (500, 200)
        assert [each.user_id for each in await known(side, "a@example.com")] == ["U1"]

    async def test_a_database_that_cannot_say_whose_event_it_is_is_a_500(self, side: SlackSide, url: str) -> None:
        """The event is not lost by an authorization that fails."""
        side.installations.forget(BOT)
        async with side.database.write() as tx:
            await tx.exec_driver_sql("ALTER TABLE installations RENAME TO hidden")

        assert await side.deliver(url, OPENED) == 500

    async def test_no_personal_data_of_a_failed_event_is_logged(
        self, side: SlackSide, url: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        """S12: the failure is named, the person is not."""
        async with side.database.write() as tx:
            await tx.exec_driver_sql("ALTER TABLE people RENAME TO hidden")

        await side.deliver(url, {"type": "team_join", "user": user("U1", "secret.person@example.com")})

        assert "secret.person" not in caplog.text
        assert "Name U1" not in caplog.text
        assert "slack.event.failed" in {getattr(record, "action", None) for record in caplog.records}

    async def test_an_event_nobody_wants_is_acknowledged(self, side: SlackSide, url: str) -> None:
        """Slack would count a 404 as a failure of the subscription; nothing is stored for it."""
        assert await side.deliver(url, {"type": "channel_created", "channel": {"id": "C1"}}) == 200

        async with side.database.write() as tx:
            assert await inbox.first_time(tx, bot_id=BOT, channel=SLACK, event_id="Ev0001", now=1.0)


class TestUninstall:
    """P25, P27, P30: removals, and the ones that come too late."""

    async def test_app_uninstalled_leaves_a_tombstone_without_token(self, side: SlackSide, url: str) -> None:
        """The token is gone, the row says when."""
        at = int(side.clock()) + 60

        await side.deliver(url, {"type": "app_uninstalled"}, event_time=at)

        found = await row(side)
        assert found is not None
        assert (found.active, found.token, found.removed_at) == (False, None, at)
        assert await side.installations.token_for(BOT, TEAM) is None

    @pytest.mark.parametrize("order", [("tokens_revoked", "app_uninstalled"), ("app_uninstalled", "tokens_revoked")])
    async def test_both_events_in_any_order(self, side: SlackSide, url: str, order: tuple[str, ...]) -> None:
        """Slack sends two events for one removal."""
        for number, kind in enumerate(order):
            event = {"type": kind, "tokens": {"oauth": [], "bot": ["U0BOT"]}}
            await side.deliver(url, event, event_id=f"Ev{number}", event_time=int(side.clock()) + 60)

        assert await side.installations.token_for(BOT, TEAM) is None

    @pytest.mark.parametrize("kind", ["app_uninstalled", "tokens_revoked"])
    async def test_a_late_removal_does_not_undo_a_reinstall(self, side: SlackSide, url: str, kind: str) -> None:
        """P30: event_time before installed_at: the newer install stays."""
        side.clock.now += 100
        await side.install(token="xoxb-new")

        await side.deliver(url, {"type": kind, "tokens": {"bot": ["U0BOT"]}}, event_time=int(side.clock.now) - 50)

        found = await side.installations.token_for(BOT, TEAM)
        assert found is not None
        assert found.token == "xoxb-new"

    async def test_a_reinstall_after_a_removal_lives(self, side: SlackSide, url: str) -> None:
        """Even when Slack's clock is ahead of ours."""
        await side.deliver(url, {"type": "app_uninstalled"}, event_time=int(side.clock.now) + 200)
        await side.install(token="xoxb-new")

        found = await side.installations.token_for(BOT, TEAM)
        assert found is not None
        assert found.token == "xoxb-new"

    @pytest.mark.parametrize("behind", [0, 600])
    async def test_a_reinstall_outlives_the_second_event_of_the_removal_before(
        self, side: SlackSide, url: str, behind: int
    ) -> None:
        """P30: one removal sends two events; the second, however late, has the first one's second and not the new."""
        removed_at = int(side.clock.now) + behind
        event = {"type": "tokens_revoked", "tokens": REVOKED}
        await side.deliver(url, {"type": "app_uninstalled"}, event_id="Ev1", event_time=removed_at)
        await side.install(token="xoxb-new")
        await side.deliver(url, event, event_id="Ev2", event_time=removed_at)
        kept = await side.installations.token_for(BOT, TEAM)
        await side.deliver(url, event, event_id="Ev3", event_time=removed_at + 1)
        ended = await side.installations.token_for(BOT, TEAM)

        assert kept is not None
        assert (kept.token, ended) == ("xoxb-new", None)

    async def test_a_removal_in_the_second_of_a_first_install_counts(self, side: SlackSide, url: str) -> None:
        """An install that ends at once is not taken for alive."""
        await side.deliver(url, {"type": "app_uninstalled"}, event_time=int(side.clock.now))

        assert await side.installations.token_for(BOT, TEAM) is None

    @pytest.mark.parametrize(
        "tokens", [{"oauth": ["U1"]}, {"oauth": ["U1"], "bot": []}, {"bot": ["U0OTHER"]}, {}, None]
    )
    async def test_other_peoples_tokens_are_not_ours(self, side: SlackSide, url: str, tokens: object) -> None:
        """tokens_revoked names users; only our bot user matters."""
        await side.deliver(url, {"type": "tokens_revoked", "tokens": tokens}, event_time=int(side.clock()) + 60)

        assert await side.installations.token_for(BOT, TEAM) is not None

    async def test_tokens_revoked_needs_no_authorizations(self, side: SlackSide, url: str) -> None:
        """Slack's own example has none: the outer team counts then."""
        event = {"type": "tokens_revoked", "tokens": {"bot": ["U0BOT"]}}

        await side.deliver(url, event, authorizations=None, event_time=int(side.clock()) + 60)

        assert await side.installations.token_for(BOT, TEAM) is None

    @pytest.mark.parametrize("event", [{"type": "app_uninstalled"}, {"type": "tokens_revoked", "tokens": REVOKED}])
    async def test_an_org_removal_takes_its_workspaces_along(
        self, side: SlackSide, url: str, event: dict[str, Any]
    ) -> None:
        """The org row and the workspaces it served go; a workspace with a token of its own stays."""
        await side.install(None, "xoxb-org", ORG)
        async with side.database.write() as tx:
            await side.installations.grant_access(tx, BOT, ORG, [("T0A", "")], side.clock())

        at = int(side.clock()) + 60
        await side.deliver(url, event, team=None, enterprise=ORG, org_wide=True, event_time=at)

        alive = [await side.installations.token_for(BOT, TenantId(each)) for each in (ORG, "T0A", TEAM)]
        assert [each is not None for each in alive] == [False, False, True]


class TestOrgAccess:
    """Workspaces come and go in an org install."""

    async def test_granted_workspaces_become_lanes(self, side: SlackSide, url: str) -> None:
        """A row, a directory chore and a wake-up for each."""
        await side.install(None, "xoxb-org", ORG)

        event = {"type": "team_access_granted", "team_ids": ["T0A", "T0B"]}
        await side.deliver(url, event, team=None, enterprise=ORG, event_time=int(side.clock()))

        assert side.woken == [Lane(BOT, SLACK, TenantId("T0A")), Lane(BOT, SLACK, TenantId("T0B"))]
        assert await asked(side, "T0A") == [("slack.directory", "users")]
        found = await side.installations.token_for(BOT, TenantId("T0B"))
        assert found is not None
        assert (found.token, found.enterprise) == ("xoxb-org", ORG)

    async def test_revoked_workspaces_are_removed(self, side: SlackSide, url: str) -> None:
        """The others stay."""
        await side.install(None, "xoxb-org", ORG)
        async with side.database.write() as tx:
            await side.installations.grant_access(tx, BOT, ORG, [("T0A", ""), ("T0B", "")], side.clock())

        event = {"type": "team_access_revoked", "team_ids": ["T0A"]}
        await side.deliver(url, event, team=None, enterprise=ORG, event_time=int(side.clock()) + 5)

        alive = [await side.installations.token_for(BOT, TenantId(each)) for each in ("T0A", "T0B")]
        assert [each is not None for each in alive] == [False, True]

    async def test_a_late_grant_does_not_undo_a_newer_removal(self, side: SlackSide, url: str) -> None:
        """P30 for org access."""
        await side.install(None, "xoxb-org", ORG)
        now = int(side.clock())
        teams = {"team_ids": ["T0A"]}
        org: dict[str, Any] = {"team": None, "enterprise": ORG}
        await side.deliver(url, {"type": "team_access_granted", **teams}, event_id="Ev1", event_time=now, **org)
        await side.deliver(url, {"type": "team_access_revoked", **teams}, event_id="Ev2", event_time=now + 20, **org)
        await side.deliver(url, {"type": "team_access_granted", **teams}, event_id="Ev3", event_time=now + 10, **org)

        assert await side.installations.token_for(BOT, TenantId("T0A")) is None

    async def test_a_workspace_with_its_own_token_keeps_it(self, side: SlackSide, url: str) -> None:
        """An org install on top changes nothing for it."""
        await side.install(None, "xoxb-org", ORG)

        event = {"type": "team_access_granted", "team_ids": [TEAM]}
        await side.deliver(url, event, team=None, enterprise=ORG, event_time=int(side.clock()))

        found = await side.installations.token_for(BOT, TEAM)
        assert found is not None
        assert found.token == "xoxb-test-token"


async def test_dropped_events_are_reported(side: SlackSide, url: str, caplog: pytest.LogCaptureFixture) -> None:
    """app_rate_limited has no inner event and must not be lost in silence."""
    limited: dict[str, Any] = {"type": "app_rate_limited", "minute_rate_limited": 1_700_000_000}

    assert await side.deliver(url, {}, **limited) == 200
    assert "slack.events.rate_limited" in {getattr(record, "action", None) for record in caplog.records}


async def test_the_cache_ends_after_a_while(side: SlackSide) -> None:
    """Another process's removal is noticed within the time to live."""
    await side.install()
    await side.installations.token_for(BOT, TEAM)
    async with side.database.write() as tx:
        await installations.remove(tx, bot_id=BOT, channel=SLACK, tenant_id=TEAM, event_at=side.clock() + 1, now=1.0)

    remembered = await side.installations.token_for(BOT, TEAM)
    side.clock.now += 31
    looked_up = await side.installations.token_for(BOT, TEAM)

    assert remembered is not None
    assert looked_up is None
