"""From the caller's POST to the mailbox: who is reached, who is not, and what the status says about it."""

from __future__ import annotations

import asyncio

from tests.harness.herald import Herald
from tests.harness.oracle import lies, outcomes, person_of, reasons, text_of
from tests.harness.platforms import DISABLED, GUEST, MSTEAMS, SLACK, WITHOUT_APP, Platforms
from tests.scenario.conftest import Starting

STRANGER = "nobody.at.all@contoso.example"


class TestReached:
    async def test_cold(self, herald: Herald, platforms: Platforms, channel: str) -> None:
        """C-30: people whom the bot has never seen are found and reached."""
        people = platforms.emails(30)

        record = await herald.deliver(channel, people, "Nice to meet you")

        assert reasons(record) == {}
        assert lies(record, await platforms.messages(channel), text="Nice to meet you") == []

    async def test_installed(self, herald: Herald, platforms: Platforms) -> None:
        """People for whom the app was installed are reached without asking any directory."""
        people = platforms.emails(30)
        await platforms.teams_install(people)
        await herald.idle()

        record = await herald.deliver(MSTEAMS, people)

        assert reasons(record) == {}
        assert lies(record, await platforms.messages(MSTEAMS)) == []
        assert await platforms.calls("graph") == 0
        assert await platforms.calls("connector", "create") == 0

    async def test_again(self, herald: Herald, platforms: Platforms, channel: str) -> None:
        """A second request to the same people needs no look-up and gives each a second message."""
        people = platforms.emails(10)
        await herald.deliver(channel, people, "First")
        asked = await platforms.calls("graph") + await platforms.calls("slack", "users.lookupByEmail", "users.list")

        record = await herald.deliver(channel, people, "Second")

        messages = await platforms.messages(channel)
        assert lies(record, messages, text="Second") == []
        assert [text_of(each) for each in messages] == ["First"] * 10 + ["Second"] * 10
        again = await platforms.calls("graph") + await platforms.calls("slack", "users.lookupByEmail", "users.list")
        assert again == asked

    async def test_other_addresses(self, herald: Herald, platforms: Platforms) -> None:
        """A person is reached by e-mail, user principal name, alias and second e-mail, whichever the caller has."""
        people = platforms.people(20)
        aliases = {
            people[5].email: people[5].email,  # whose user principal name is another
            "u00005@contoso.example": people[5].email,
            "alias.7@contoso.example": people[7].email,
            f"{people[9].email.partition('@')[0]}@private.example": people[9].email,
            people[3].email.upper(): people[3].email,
        }

        record = await herald.deliver(MSTEAMS, list(aliases))

        assert reasons(record) == {}
        received = sorted(person_of(each) for each in await platforms.messages(MSTEAMS))
        assert received == sorted(aliases.values())

    async def test_both_channels(self, herald: Herald, platforms: Platforms) -> None:
        """Requests on both channels at once end each in its own mailboxes."""
        people = platforms.emails(25)

        teams, slack = await asyncio.gather(
            herald.deliver(MSTEAMS, people, "On Teams"), herald.deliver(SLACK, people, "On Slack")
        )

        on_teams, on_slack = await platforms.messages(MSTEAMS), await platforms.messages(SLACK)
        assert lies(teams, on_teams) == []
        assert lies(slack, on_slack) == []
        assert {text_of(each) for each in on_teams} == {"On Teams"}
        assert {text_of(each) for each in on_slack} == {"On Slack"}

    async def test_many_requests(self, herald: Herald, platforms: Platforms, channel: str) -> None:
        """Requests that run side by side to the same people do not disturb each other."""
        people = platforms.emails(20)
        texts = [f"Number {number}" for number in range(6)]

        records = await asyncio.gather(*(herald.deliver(channel, people, text) for text in texts))

        messages = await platforms.messages(channel)
        assert [lies(record, messages, text=text) for record, text in zip(records, texts, strict=True)] == [[]] * 6
        assert len(messages) == 120


class TestNotReached:
    async def test_nobody(self, herald: Herald, platforms: Platforms, channel: str) -> None:
        """An address that nobody has fails alone, with the reason for it."""
        people = platforms.emails(5)

        record = await herald.deliver(channel, [*people, STRANGER])

        assert reasons(record) == {STRANGER: "person_not_found"}
        assert lies(record, await platforms.messages(channel)) == []

    async def test_special_people_of_teams(self, herald: Herald, platforms: Platforms) -> None:
        """P24: a guest, a deactivated person, one without the app and a shared address fail, each for its reason."""
        people = platforms.people()
        special = {
            people[GUEST].email: "guest_not_supported",
            people[DISABLED].email: "person_disabled",
            people[WITHOUT_APP].email: "app_not_installed",
            "shared.desk@contoso.example": "person_ambiguous",
        }

        record = await herald.deliver(MSTEAMS, [people[0].email, *special])

        assert reasons(record) == special
        assert lies(record, await platforms.messages(MSTEAMS)) == []

    async def test_special_people_of_slack(self, herald: Herald, platforms: Platforms) -> None:
        """P24: on Slack a guest is reached like anybody, and a deactivated person is not."""
        people = platforms.people()
        guest, disabled = people[GUEST].email, people[DISABLED].email

        record = await herald.deliver(SLACK, [people[0].email, guest, disabled])

        assert set(reasons(record)) == {disabled}
        assert reasons(record)[disabled] in ("person_disabled", "person_not_found")
        assert lies(record, await platforms.messages(SLACK)) == []

    async def test_blocked(self, herald: Herald, platforms: Platforms) -> None:
        """P24: whoever blocked the app is left alone, and told apart from whoever does not have it."""
        people = platforms.emails(6)
        await platforms.teams_install(people)
        await herald.idle()
        await platforms.teams_person(people[1], block="MessageWritesBlocked")
        await platforms.teams_person(people[2], block="ConversationBlockedByUser")

        record = await herald.deliver(MSTEAMS, people)

        assert reasons(record) == dict.fromkeys(people[1:3], "blocked_by_recipient")
        assert lies(record, await platforms.messages(MSTEAMS)) == []

    async def test_left(self, herald: Herald, platforms: Platforms, channel: str) -> None:
        """P24: whoever left since the last message fails, and everybody else is reached."""
        people = platforms.emails(6)
        await herald.deliver(channel, people, "Welcome")
        if channel == MSTEAMS:
            await platforms.teams_person(people[2], left=True)
        else:
            await platforms.slack_person(people[2], deleted=True, wait=True)

        record = await herald.deliver(channel, people, "Still here?")

        assert list(reasons(record)) == [people[2]]
        assert lies(record, await platforms.messages(channel), text="Still here?") == []

    async def test_new_address(self, herald: Herald, platforms: Platforms, channel: str) -> None:
        """P24: a person is reached by a new e-mail, although the old one is what was learned."""
        people = platforms.emails(3)
        await herald.deliver(channel, people, "Before")
        if channel == MSTEAMS:
            await platforms.teams_person(people[1], email="married.name@contoso.example")
        else:
            await platforms.slack_person(people[1], email="married.name@contoso.example", wait=True)

        record = await herald.deliver(channel, ["married.name@contoso.example", people[0]], "After")

        assert reasons(record) == {}
        assert lies(record, await platforms.messages(channel), text="After") == []


class TestMany:
    async def test_thousand(self, starting: Starting, big: Platforms, channel: str) -> None:
        """C-06, C-22: 1000 identities are delivered, once each, and come back in one answer."""
        people = [person.email for person in big.people(1000)]
        async with starting(big) as herald:
            await big.teams_setup_policy()
            record = await herald.deliver(channel, people)

        assert record["count"] == len(record["statusLogs"]) == 1000
        assert outcomes(record)["sent"] >= 960  # guests, deactivated people and those without the app are among them
        assert lies(record, await big.messages(channel)) == []
        assert await big.sends(channel) == outcomes(record)["sent"]
