"""All people of a Slack workspace, page by page (https://docs.slack.dev/reference/methods/users.list).

Each page is stored as it comes, so a listing that breaks off has not been for nothing. Who needs a whole listing now
(SlackPeople) and who refreshes it each day (the chore `slack.directory`) go through the same pages, one at a time.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any
from weakref import WeakValueDictionary

from adapters.base import BotId, Chore, ChoreDone, ChoreLater, ChoreOutcome, Fault, Gate, Lane, TenantId
from adapters.slack import faults, limits
from adapters.slack.chores import ENDLESS_SECONDS, later, note_endless
from adapters.slack.client import Answer, Failure, SlackClient
from adapters.slack.installations import SLACK, Installed, SlackInstallations
from adapters.slack.paging import OddCursor, Trail, next_cursor
from adapters.slack.people import EMAIL_SCOPE, Workspace, person_of
from identity.email import normal_form
from storage import directory, mirrors
from storage.directory import Person
from storage.engine import Database
from storage.mirrors import Mirror

logger = logging.getLogger(__name__)

LIST = "users.list"
REFRESH_SECONDS = 24 * 3600.0
WRONG_KEY_SECONDS = 3600.0
MAX_RESTARTS = 2
MOST_PAGES = 5000  # a million people in pages of 200


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a listing has come. `number` tells it from others, `entries` counts bots and leavers too."""

    number: int
    started: float
    cursor: str | None = None
    entries: int = 0
    limit: int = limits.USERS_PAGE
    restarts: int = 0
    trail: Trail = field(default_factory=Trail)

    def restarted(self, limit: int) -> Progress:
        """From the beginning: cursors expire, and belong to a page size."""
        return Progress(self.number, self.started, limit=limit, restarts=self.restarts + 1)

    def as_detail(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Page:
    """The people of one page; `next` is None when it was the last, or the last of a list that is `endless`."""

    people: Sequence[Person]
    next: Progress | None
    endless: Fault | None = None


class SlackListing:
    """Fetches and stores pages; at most one listing of a workspace runs at a time in this process."""

    def __init__(
        self,
        client: SlackClient,
        installations: SlackInstallations,
        database: Database,
        clock: Callable[[], float] = time.time,
        *,
        most_pages: int = MOST_PAGES,
    ) -> None:
        self._client = client
        self._installations = installations
        self._database = database
        self._clock = clock
        self._most_pages = most_pages
        self._locks: WeakValueDictionary[tuple[str, str], asyncio.Lock] = WeakValueDictionary()

    def flight(self, bot: BotId, tenant: TenantId) -> asyncio.Lock:
        """Held by who lists this workspace; who waited for it finds the directory fresh."""
        return self._locks.setdefault((bot, tenant), asyncio.Lock())

    async def begin(self, bot: BotId, tenant: TenantId) -> Progress:
        """A listing from the first page."""
        async with self._database.write() as tx:
            number = await mirrors.begin_listing(tx, bot_id=bot, channel=SLACK, tenant_id=tenant)
        return Progress(number, self._clock())

    async def mirror(self, bot: BotId, tenant: TenantId) -> Mirror | None:
        """What is known of the workspace's size and of its last listing."""
        async with self._database.read() as tx:
            return await mirrors.get(tx, bot_id=bot, channel=SLACK, tenant_id=tenant)

    async def stored(self, bot: BotId, tenant: TenantId, addresses: Sequence[str]) -> dict[str, Person]:
        """Who the directory knows under these addresses, somebody active before somebody disabled."""
        async with self._database.read() as tx:
            rows = await directory.lookup(tx, bot_id=bot, channel=SLACK, tenant_id=tenant, addresses=addresses)
        rows.sort(key=lambda row: not row.disabled)
        return {
            row.email: Person(row.user_id, (row.email,), row.name, kind=row.kind, disabled=row.disabled) for row in rows
        }

    async def page(self, speaker: Installed, progress: Progress, gate: Gate) -> Page | Failure:
        """Fetch and store one page. What Slack calls too large is asked for again in smaller pages."""
        await gate.enter(LIST)
        result = await self._client.call(
            LIST,
            speaker.token,
            team_id=speaker.tenant,
            limit=progress.limit,
            cursor=progress.cursor,
            include_locale=True,
        )
        if isinstance(result, Failure):
            if result.throttled:
                gate.throttled(LIST, result.retry_after)
            again = _smaller(result, progress)
            return result if again is None else Page((), again)
        members, cursor = result.body.get("members"), next_cursor(result.body)
        if not isinstance(members, list):
            return Failure(LIST, faults.not_answered("no_members"))
        if isinstance(cursor, OddCursor):
            return Failure(LIST, faults.not_answered("odd_cursor"))
        entries = progress.entries + len(members)
        if cursor is None and not entries:  # our own bot is in every list
            return Failure(LIST, faults.not_answered("nobody_listed"))
        workspace = Workspace(speaker.tenant, speaker.enterprise)
        people = [person for each in members if (person := person_of(each, workspace, normal_form)) is not None]
        come = replace(progress, cursor=cursor, entries=entries)
        await self._store(speaker, people, come, tells_emails=_tells_emails(speaker, result, people))
        if cursor is None:
            return Page(people, None)
        code = progress.trail.endless(cursor, len(members), self._most_pages)
        if code is not None:
            note_endless(Lane(speaker.bot, SLACK, speaker.tenant), LIST, code)
            return Page(people, None, faults.ENDLESS.fault(code))
        return Page(people, replace(come, trail=progress.trail.further(cursor, len(members))))

    async def _store(self, speaker: Installed, people: Sequence[Person], come: Progress, *, tells_emails: bool) -> None:
        """Store a page; after the last, whom Slack no longer lists is gone."""
        lane: dict[str, Any] = {"bot_id": speaker.bot, "channel": SLACK, "tenant_id": speaker.tenant}
        unique = {person.user_id: person for person in people}
        async with self._database.write() as tx:
            await directory.learn(
                tx,
                **lane,
                persons=list(unique.values()),
                source=LIST,
                now=self._clock(),
                forget_emails=tells_emails,
            )
            await mirrors.listed(tx, **lane, listing=come.number, user_ids=list(unique))
            known = await mirrors.get(tx, **lane) or Mirror(None, None, 0, 0)
            if come.cursor is None:
                await mirrors.disable_unseen(tx, **lane, listing=come.number, source=LIST)
                completed = max(known.completed, come.number)
                state = Mirror(self._clock(), come.started, come.entries, come.limit, completed=completed)
            else:
                state = replace(known, started_at=come.started, page_size=come.limit)
            await mirrors.note(tx, **lane, state=state)


class SlackDirectory:
    """The chore `slack.directory`: one page at each turn, so that sends are never kept waiting; then daily."""

    def __init__(self, listing: SlackListing, installations: SlackInstallations) -> None:
        self._listing = listing
        self._installations = installations

    async def __call__(self, chore: Chore, gate: Gate) -> ChoreOutcome:
        lane = chore.lane
        speaker = await self._installations.speaker(lane.bot, lane.tenant)
        if speaker == faults.NOT_INSTALLED:
            return ChoreDone("not installed any more")
        if isinstance(speaker, Fault):
            return ChoreLater(WRONG_KEY_SECONDS)
        async with self._listing.flight(lane.bot, lane.tenant):
            progress = _resumed(chore.detail) or await self._listing.begin(lane.bot, lane.tenant)
            mirror = await self._listing.mirror(lane.bot, lane.tenant)
            if mirror is not None and mirror.completed > progress.number:
                return ChoreLater(REFRESH_SECONDS, detail={})  # somebody else listed everybody meanwhile
            page = await self._listing.page(speaker, progress, gate)
        if isinstance(page, Failure):
            return later(chore, page, progress.as_detail())
        if page.endless is not None:
            return ChoreLater(ENDLESS_SECONDS, detail={})
        if page.next is not None:
            return ChoreLater(0.0, detail=page.next.as_detail())
        logger.info("a workspace was listed", extra={"action": "slack.directory.done", "lane": str(lane)})
        return ChoreLater(REFRESH_SECONDS, detail={})


def _tells_emails(speaker: Installed, answer: Answer, people: Sequence[Person]) -> bool:
    """Whether somebody without an e-mail has none: a token without the scope sees nobody's."""
    said = answer.scopes
    scopes = speaker.scopes if said is None else frozenset(each.strip() for each in said.split(","))
    return EMAIL_SCOPE in scopes if scopes else any(person.emails for person in people)


def _smaller(failure: Failure, progress: Progress) -> Progress | None:
    """How to go on after `limit_required`, a listing that Slack could not finish, or a cursor that expired."""
    if progress.restarts >= MAX_RESTARTS:
        return None
    if failure.fault.code == "invalid_cursor" and progress.cursor is not None:
        return progress.restarted(progress.limit)
    too_large = failure.fault.code == "limit_required" or (
        failure.written and failure.fault.reason == "no_clear_answer"
    )
    if too_large and progress.limit > limits.USERS_PAGE_SAFE:
        return progress.restarted(limits.USERS_PAGE_SAFE)
    return None


def _resumed(detail: Mapping[str, Any]) -> Progress | None:
    """The progress that a chore wrote down; None for a fresh one."""
    number, started = detail.get("number"), detail.get("started")
    cursor, entries = detail.get("cursor"), detail.get("entries")
    limit, restarts = detail.get("limit"), detail.get("restarts")
    if not isinstance(number, int) or not isinstance(started, int | float) or not isinstance(limit, int):
        return None
    return Progress(
        number,
        float(started),
        cursor if isinstance(cursor, str) and cursor else None,
        entries if isinstance(entries, int) else 0,
        limit,
        restarts if isinstance(restarts, int) else 0,
        Trail.written(detail.get("trail")),
    )
