"""What an installation still needs after it was stored, done by its lane's drain, paced like every other call.

slack.identify   entry lane, key "token"   which workspace the settings' bot token belongs to
slack.teams      entry lane, key E…        which workspaces an org has granted us, again each day
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from adapters.base import BotId, Chore, ChoreDone, ChoreLater, ChoreOutcome, Fault, Gate, Lane, TenantId
from adapters.ids import MAX_TENANT, readable, words
from adapters.slack import faults, limits
from adapters.slack.client import Answer, Failure, SlackClient
from adapters.slack.config import Clock, SlackApp, Wake
from adapters.slack.installations import SLACK, Grant, Installed, SlackInstallations
from adapters.slack.paging import OddCursor, Trail, next_cursor
from storage import installations as rows
from storage.engine import Database

logger = logging.getLogger(__name__)

RETRY_BASE = 5.0
RETRY_CAP = 300.0
REFRESH_SECONDS = 24 * 3600.0
ENDLESS_SECONDS = 3600.0
MOST_PAGES = 100  # an org has fewer workspaces than that times a thousand


def later(chore: Chore, failure: Failure, detail: Mapping[str, Any] | None = None) -> ChoreLater:
    """Try a chore again when Slack says, or with backoff: 5, 10, 20, … at most 300 seconds.

    Without a fault, so that no number of tries ends it: a workspace whose chore was given up would stay unknown. The
    tries are counted in the detail.
    """
    detail = chore.detail if detail is None else detail
    tries = chore.detail.get("tries")
    tries = tries + 1 if isinstance(tries, int) else 1
    wait = RETRY_CAP if failure.is_configuration else min(RETRY_BASE * 2.0 ** min(tries - 1, 10), RETRY_CAP)
    logger.warning(
        "a chore must wait",
        extra={
            "action": "slack.chore.later",
            "kind": chore.kind,
            "lane": str(chore.lane),
            "code": failure.fault.code,
            "tries": tries,
        },
    )
    return ChoreLater(
        failure.retry_after if failure.throttled and failure.retry_after else wait, None, {**detail, "tries": tries}
    )


def note_endless(lane: Lane, method: str, code: str) -> None:
    """Log that a list does not come to an end."""
    logger.warning(
        "a list of Slack's does not come to an end",
        extra={"action": "slack.list.endless", "lane": str(lane), "method": method, "code": code},
    )


class SlackIdentify:
    """`slack.identify`: ask auth.test once whose token the settings hold, and store the installation."""

    def __init__(
        self,
        apps: Mapping[BotId, SlackApp],
        database: Database,
        client: SlackClient,
        installations: SlackInstallations,
        wake: Wake,
    ) -> None:
        self._apps = apps
        self._database = database
        self._client = client
        self._installations = installations
        self._wake = wake

    async def __call__(self, chore: Chore, gate: Gate) -> ChoreOutcome:
        app = self._apps.get(chore.lane.bot)
        if app is None or app.bot_token is None:
            return ChoreDone("the settings hold no bot token any more")
        await gate.enter("auth.test")
        result = await self._client.call("auth.test", app.bot_token)
        if isinstance(result, Failure):
            if result.throttled:
                gate.throttled("auth.test", result.retry_after)
            return later(chore, result)
        return await self._store(app, app.bot_token, result)

    async def _store(self, app: SlackApp, token: str, answer: Answer) -> ChoreOutcome:
        grant = _grant(token, answer)
        if grant is None:
            return ChoreLater(RETRY_CAP)  # an answer without a workspace: nothing to store
        async with self._database.write() as tx:
            lane = await self._installations.install(tx, app.bot, grant)
            await self._installations.keep_only(tx, app.bot, grant.team or grant.enterprise or "")
        self._installations.forget(app.bot)
        self._wake(lane)
        logger.info(
            "the bot token belongs to a workspace",
            extra={"action": "slack.identified", "bot": app.bot, "tenant": grant.team or grant.enterprise},
        )
        return ChoreDone()


class SlackTeams:
    """`slack.teams`: page through auth.teams.list and give every granted workspace a row and a directory chore."""

    def __init__(
        self, database: Database, client: SlackClient, installations: SlackInstallations, wake: Wake, clock: Clock
    ) -> None:
        self._database = database
        self._client = client
        self._installations = installations
        self._wake = wake
        self._clock = clock

    async def __call__(self, chore: Chore, gate: Gate) -> ChoreOutcome:
        bot, org = chore.lane.bot, TenantId(chore.key)
        speaker = await self._installations.speaker(bot, org)
        if isinstance(speaker, Fault):
            return ChoreDone(speaker.code)
        started = float(chore.detail.get("started") or self._clock())
        seen = [str(each) for each in chore.detail.get("seen") or []]
        cursor = chore.detail.get("cursor")
        await gate.enter("auth.teams.list")
        result = await self._client.call(
            "auth.teams.list",
            speaker.token,
            limit=limits.TEAMS_PAGE,
            cursor=cursor if isinstance(cursor, str) else None,
        )
        if isinstance(result, Failure):
            if result.throttled:
                gate.throttled("auth.teams.list", result.retry_after)
            restart: dict[str, Any] | None = {} if result.fault.code == "invalid_cursor" else None
            return later(chore, result, restart)
        listed = result.body.get("teams")
        if not isinstance(listed, list):
            return later(chore, Failure("auth.teams.list", faults.not_answered("no_teams")))
        teams = _teams(listed)
        seen += [team for team, _ in teams]
        following = next_cursor(result.body)
        if isinstance(following, OddCursor):
            return later(chore, Failure("auth.teams.list", faults.not_answered("odd_cursor")))
        await self._store(speaker, teams, seen if following is None else None, started)
        if following is None:
            return ChoreLater(REFRESH_SECONDS, detail={})  # events about access are optional subscriptions
        trail = Trail.written(chore.detail.get("trail"))
        code = trail.endless(following, len(teams), MOST_PAGES)
        if code is not None:
            note_endless(chore.lane, "auth.teams.list", code)
            return ChoreLater(ENDLESS_SECONDS, detail={})
        further = asdict(trail.further(following, len(teams)))
        return ChoreLater(0.0, detail={"cursor": following, "started": started, "seen": seen, "trail": further})

    async def _store(
        self, org: Installed, teams: Sequence[tuple[str, str]], complete: Sequence[str] | None, started: float
    ) -> None:
        """Store one page; with the last page, drop the workspaces that the org no longer grants."""
        async with self._database.write() as tx:
            lanes = await self._installations.grant_access(tx, org.bot, org.tenant, teams, self._clock())
            if complete is not None:
                known = await rows.of_org(tx, bot_id=org.bot, channel=SLACK, enterprise_id=org.tenant)
                for row in known:
                    if row.token is None and row.tenant_id not in complete:
                        await self._installations.remove(tx, org.bot, row.tenant_id, None, started)
        self._installations.forget(org.bot)
        for lane in lanes:
            self._wake(lane)


def _grant(token: str, answer: Answer) -> Grant | None:
    body = answer.body
    team, enterprise = readable(body.get("team_id"), MAX_TENANT), readable(body.get("enterprise_id"), MAX_TENANT)
    if body.get("is_enterprise_install") is True:
        team = None
    if team is None and enterprise is None:
        return None
    return Grant(
        token=token,
        team=team,
        team_name=words(body.get("team")),
        enterprise=enterprise,
        enterprise_name=words(body.get("team")),
        scopes=tuple(each.strip() for each in (answer.scopes or "").split(",") if each.strip()),
        app_id=readable(body.get("app_id")),
        bot_user_id=readable(body.get("user_id"), MAX_TENANT),
        platform_bot_id=readable(body.get("bot_id"), MAX_TENANT),
    )


def _teams(listed: Sequence[object]) -> list[tuple[str, str]]:
    found = [each for each in listed if isinstance(each, dict)]
    return [(each["id"], words(each.get("name"))) for each in found if readable(each.get("id"), MAX_TENANT)]
