"""Every reason that a status can show is provoked on a whole Herald: it names who can act, and says what to do."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

import pytest
from sqlalchemy import text

from app import DATABASE, SCRIPTS
from notify.texts import REASONS
from tests.harness.herald import (
    Herald,
    Json,
    bot,
    pauses,
    slack_oauth,
    slack_side,
    teams_side,
)
from tests.harness.platforms import DISABLED, GUEST, MSTEAMS, SLACK, WITHOUT_APP, Platforms
from tests.scenario.conftest import Starting

NOT_YET: Final = frozenset({"cancelled"})
"""Reasons of what Herald does not do yet."""
SCRIPT: Final[Json] = {"type": "script", "val": "print('Hi')"}
SILENT_SCRIPT: Final[Json] = {"type": "script", "val": "1 + 1"}
LATE: Final[Json] = {"deadline_hours": 6 / 3600}
ONCE: Final[Json] = {"max_attempts": 1}
PAGE: Final[Json] = {"status": 403, "body": "<html>Access denied</html>", "content_type": "text/html"}

pytestmark = pytest.mark.parametrize("database_kind", ["sqlite"], indirect=True)


@dataclass
class Stage:
    """A Herald with several bots, each with apps of its own, and people whom no other case uses."""

    herald: Herald
    platforms: Platforms
    used: int = 0

    def person(self) -> str:
        """Somebody who can be reached."""
        self.used += 1
        return self.platforms.emails(self.used)[-1]

    def special(self, number: int) -> str:
        """A guest, a deactivated person, one without the app."""
        return self.platforms.people()[number].email


Waiting = tuple[Herald, str]
Begin = Callable[[Stage], Awaitable[Waiting]]


@dataclass(frozen=True)
class Case:
    """How a reason is provoked, who can act on it, and how its remedy begins."""

    who: str
    remedy: str
    begin: Begin
    holds_a_lane: bool = False

    async def read(self, reason: str, waiting: Waiting) -> Json:
        """What the status says about it: in the entry, or among the paused lanes."""
        herald, request = waiting
        if self.holds_a_lane:
            return pauses(await herald.paused(request, reason))[reason]
        (entry,) = (await herald.final(request))["statusLogs"]
        details: Json = entry["details"]
        return details


# ---------------------------------------------------------------------- ways to provoke


def sending(identity: Callable[[Stage], str], channel: str = MSTEAMS, **more: Any) -> Begin:
    """A request for somebody who is special by nature."""

    async def begin(stage: Stage) -> Waiting:
        return stage.herald, await stage.herald.notify(channel, [identity(stage)], **more)

    return begin


def changed(**change: Any) -> Begin:
    """A request for somebody of Teams who was changed before."""

    async def begin(stage: Stage) -> Waiting:
        person = stage.person()
        await stage.platforms.teams_person(person, **change)
        return stage.herald, await stage.herald.notify(MSTEAMS, [person])

    return begin


def answered(channel: str, number: int = 1, **fault: Any) -> Begin:
    """A request of one bot for somebody whose every send is answered like this."""

    async def begin(stage: Stage) -> Waiting:
        person = stage.person()
        trouble = await stage.platforms.send_fault(channel, person=person, **fault)
        herald = stage.herald if number == 1 else stage.herald.as_bot(number)
        request = await herald.notify(channel, [person])
        await stage.platforms.fired(trouble)
        return herald, request

    return begin


def by_bot(number: int, channel: str) -> Begin:
    """A request of a bot whose app is not as it should be."""

    async def begin(stage: Stage) -> Waiting:
        herald = stage.herald.as_bot(number)
        return herald, await herald.notify(channel, [stage.person()])

    return begin


def without_app(number: int, **change: Any) -> Begin:
    """A request of a bot that may install its app, for somebody who does not have it."""

    async def begin(stage: Stage) -> Waiting:
        person = stage.special(WITHOUT_APP)
        await stage.platforms.teams_person(person, **change)
        herald = stage.herald.as_bot(number)
        return herald, await herald.notify(MSTEAMS, [person])

    return begin


async def opening_hangs(stage: Stage) -> Waiting:
    """A request for somebody about whom nothing is known before the deadline."""
    person = stage.person()
    trouble = await stage.platforms.fault(platform="connector", operation="create", person=person, hang=True)
    request = await stage.herald.notify(MSTEAMS, [person])
    await stage.platforms.fired(trouble)
    return stage.herald, request


async def scripts_are_closed(stage: Stage) -> Waiting:
    """A request whose script no process can run."""
    assert stage.herald.app is not None
    await stage.herald.app[SCRIPTS].close()
    return stage.herald, await stage.herald.notify(SLACK, [stage.person()], message=SCRIPT)


async def question_is_refused(stage: Stage) -> Waiting:
    """A request for somebody whom Graph does not let us ask about in any way."""
    for operation in ("users", "user"):
        trouble = await stage.platforms.fault(platform="graph", operation=operation, status=400)
    request = await stage.herald.notify(MSTEAMS, [stage.person()])
    await stage.platforms.fired(trouble)
    return stage.herald, request


async def database_breaks(stage: Stage) -> Waiting:
    """A request for somebody known, whose send finds no installation to read."""
    herald, platforms, person = stage.herald, stage.platforms, stage.person()
    await herald.deliver(SLACK, [person])
    storm = await platforms.send_fault(SLACK, status=429, retry_after="0.2")
    request = await herald.notify(SLACK, [person])
    await platforms.fired(storm)
    assert herald.app is not None
    async with herald.app[DATABASE].write() as tx:
        await tx.execute(text("ALTER TABLE installations RENAME TO elsewhere"))
    revoked = {"type": "tokens_revoked", "tokens": {"oauth": ["U0SOMEBODY"], "bot": []}}
    await platforms.slack_event("tokens_revoked", event=revoked)  # Herald looks at its installations again
    await platforms.heal(storm)
    return herald, request


# ---------------------------------------------------------------------- the cases

AT_ONCE: Final = {
    "person_not_found": Case("sender", "Check the address", sending(lambda _: "nobody.at.all@contoso.example")),
    "person_disabled": Case("sender", "The account is deactivated", sending(lambda stage: stage.special(DISABLED))),
    "person_ambiguous": Case("admin", "Several accounts share", sending(lambda _: "shared.desk@contoso.example")),
    "person_unlicensed": Case("admin", "Assign a licence", changed(teams_plan=None)),
    "guest_not_supported": Case("sender", "Guests cannot have the app", sending(lambda stage: stage.special(GUEST))),
    "app_not_installed": Case("admin", "The app is not installed", sending(lambda each: each.special(WITHOUT_APP))),
    "identity_invalid": Case("sender", "The identity holds a display name", sending(lambda _: "Ann <ann@x.example>")),
    "blocked_by_recipient": Case("user", "The person has blocked", changed(block="MessageWritesBlocked")),
    "recipient_unreachable": Case("sender", "The app cannot write", answered(SLACK, code="cannot_dm_bot")),
    "not_in_conversation": Case(
        "sender", "The person is not in this conversation", answered(MSTEAMS, code="MemberNotFoundInConversation")
    ),
    "conversation_not_found": Case("user", "The conversation is gone", answered(MSTEAMS, code="ConversationNotFound")),
    "message_invalid": Case("sender", "Teams does not accept", answered(MSTEAMS, code="BadArgument")),
    "message_too_large": Case("sender", "Shorten the message", answered(MSTEAMS, code="MessageSizeTooBig")),
    "script_failed": Case(
        "sender", "Correct the script: it printed nothing", sending(Stage.person, message=SILENT_SCRIPT)
    ),
    "not_permitted": Case("admin", "Teams does not permit this", answered(MSTEAMS, code="NotEnoughPermissions")),
    "no_clear_answer": Case("sender", "Ask the person", answered(MSTEAMS, status=502, body="")),
    "unknown_code": Case("operator", "Teams refused with a code", answered(MSTEAMS, status=404, code="NotFound")),
    "gave_up": Case("sender", "Teams was busy", answered(MSTEAMS, code="PreconditionFailed")),
    # what holds a lane, each in the lane of a bot of its own
    "bot_disabled": Case("admin", "A Teams administrator", answered(MSTEAMS, 2, code="BotDisabledByAdmin"), True),
    "credentials_rejected": Case("operator", "Teams rejects", answered(MSTEAMS, 3, code="Unauthorized"), True),
    "wrong_service_url": Case("operator", "No permitted service", answered(MSTEAMS, 4, code="InvalidBotApiHost"), True),
    "token_unavailable": Case("operator", "Entra gives the app no token", by_bot(5, MSTEAMS), True),
    "permission_missing": Case("admin", "Grant the app User.Read.All", by_bot(6, MSTEAMS), True),
    "messages_tab_disabled": Case("operator", "Switch the Messages tab on", by_bot(2, SLACK), True),
    "app_misconfigured": Case("operator", "The Slack app", answered(SLACK, 3, code="not_allowed_token_type"), True),
    "installation_revoked": Case("admin", "Install the app", answered(SLACK, 4, code="token_revoked"), True),
    "token_expired": Case("operator", "The app's tokens expire", answered(SLACK, 5, code="token_expired"), True),
    "installation_missing": Case("admin", "Install the app", by_bot(6, SLACK), True),
    "app_not_in_catalog": Case("admin", "Upload the app package", without_app(7), True),
    "install_not_allowed": Case("admin", "A Teams administrator must", without_app(8, install_allowed=False)),
}
SKIPPED: Final = {
    "conversation_busy": Case("nobody", "Teams was busy", answered(MSTEAMS, code="PreconditionFailed")),
    "platform_unreachable": Case("operator", "Something between Herald", answered(MSTEAMS, **PAGE)),
    "workspace_paused": Case("admin", "The workspace takes", answered(SLACK, code="message_limit_exceeded")),
    "deadline": Case("sender", "Send again", opening_hangs),
    "scripts_unavailable": Case("operator", "Look into Herald's log", scripts_are_closed),
    "throttled": Case("nobody", "Teams asked for a pause", answered(MSTEAMS, 2, status=429, retry_after="1")),
    "lookup_failed": Case("sender", "Microsoft Graph does not", question_is_refused),  # the last: it stops all look-ups
}
BROKEN: Final = {"storage_unavailable": Case("operator", "Nothing was sent", database_breaks)}
INSTALLING: Final = {"install_expired"}


# ---------------------------------------------------------------------- the bots


async def app_of_teams(platforms: Platforms, number: int, **fields: Any) -> Json:
    """The Teams side of a bot with an app of its own, which everybody has."""
    app = f"a9900000-0000-4000-8000-00000000010{number}"
    await platforms.teams_app(app, **fields)
    await platforms.control("teams/installs", {"app_id": app, "all_with_app": True, "notify": False})
    return teams_side(app_id=app, catalog_app_id=f"ca7a{app[4:]}")


async def app_of_slack(platforms: Platforms, number: int, **fields: Any) -> Json:
    """The Slack side of a bot with an app of its own, installed in the workspace."""
    client, secret, token = f"2000000000001.{number}", f"signing secret {number}", f"xoxb-token-of-bot-{number}"
    known = {"client_id": client, "client_secret": "client secret", "signing_secret": secret, **fields}
    await platforms.control("slack/apps", known)
    await platforms.control("slack/installs", {"client_id": client, "token": token})
    return slack_side(bot_token=token, signing_secret=secret)


async def bots(platforms: Platforms) -> list[Json]:
    """One bot that is as it should be, and some that are not, or whose lanes will be held."""
    teams = [await app_of_teams(platforms, number) for number in (2, 3, 4, 5)]
    teams[3]["app_password"] = "not its password"
    teams.append(await app_of_teams(platforms, 6, graph_permissions=[]))
    slack = [await app_of_slack(platforms, number) for number in (3, 4, 5)]
    slack.insert(0, await app_of_slack(platforms, 2, messages_tab_enabled=False))
    slack.append(slack_oauth(signing_secret="signing secret 6"))
    rest = zip(range(2, 7), teams, slack, strict=True)
    return [
        bot(msteams=teams_side(), slack=slack_side()),
        *(bot(number, msteams=on_teams, slack=on_slack) for number, on_teams, on_slack in rest),
        bot(7, msteams=await app_of_teams(platforms, 7, in_catalog=False)),
        bot(8, msteams=await app_of_teams(platforms, 8)),
    ]


@asynccontextmanager
async def staged(platforms: Platforms, starting: Starting, delivery: Json) -> AsyncIterator[Stage]:
    """All of them in one Herald that forgets its lanes soon."""
    settings = {"server": {"claim_seconds": 1.0}, "delivery": delivery}
    async with starting(platforms, *await bots(platforms), **settings) as herald:
        await herald.connect(platforms)
        await platforms.teams_setup_policy()
        yield Stage(herald, platforms)


async def said(stage: Stage, cases: dict[str, Case]) -> dict[str, tuple[str, str, str]]:
    """Reason, who can act, and the beginning of the remedy, as the status says them for each case."""
    waiting = [await case.begin(stage) for case in cases.values()]
    pairs = zip(cases.items(), waiting, strict=True)
    found = await asyncio.gather(*(case.read(reason, each) for (reason, case), each in pairs))
    return {
        reason: (each["reason"], each["who"], each["remedy"][: len(case.remedy)])
        for (reason, case), each in zip(cases.items(), found, strict=True)
    }


def expected(cases: dict[str, Case]) -> dict[str, tuple[str, str, str]]:
    return {reason: (reason, case.who, case.remedy) for reason, case in cases.items()}


# ---------------------------------------------------------------------- the tests


def test_every_reason_has_a_case(database_kind: str) -> None:
    """No reason stands in the table that nothing can give, and none is given that nobody tried."""
    provoked = [*AT_ONCE, *SKIPPED, *BROKEN, *INSTALLING]

    assert len(provoked) >= 30
    assert set(REASONS) - NOT_YET == set(provoked)
    assert len(set(provoked)) == len(provoked)


async def test_at_once(platforms: Platforms, starting: Starting) -> None:
    """A refusal stands in the person's entry, a fault of the configuration among the paused lanes."""
    async with staged(platforms, starting, ONCE) as stage:
        assert expected(AT_ONCE) == await said(stage, AT_ONCE)


async def test_skipped(platforms: Platforms, starting: Starting) -> None:
    """What could not leave before its deadline says what held it up."""
    async with staged(platforms, starting, LATE) as stage:
        assert expected(SKIPPED) == await said(stage, SKIPPED)


async def test_broken_database(platforms: Platforms, starting: Starting) -> None:
    """What Herald's own database held up says so."""
    async with starting(platforms, server={"claim_seconds": 1.0}, delivery=LATE) as herald:
        await herald.connect(platforms, SLACK)
        assert expected(BROKEN) == await said(Stage(herald, platforms), BROKEN)


async def test_install_expired(platforms: Platforms, starting: Starting) -> None:
    """Who comes back too late from Slack's consent reads on the page what to do."""
    async with starting(platforms, bot(slack=slack_oauth())) as herald:
        await platforms.fault(platform="slack", operation="oauth.v2.access", code="code_already_used")
        with pytest.raises(AssertionError, match="Start the installation again from its first page"):
            await herald.install_slack(platforms)
